"""Runs the tests of the compiled kernel under the address and undefined-behaviour sanitizers.

python .ci/sanitize.py        compiles a copy of the sources, and runs the tests on that copy
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "model", "app", "tests")
TESTS = tuple(f"tests/model/passes/test_fused{part}.py" for part in ("", "_calls", "_distances"))
SETTINGS = "detect_leaks=0:allocator_may_return_null=1"  # as the system's allocator does
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"


def main() -> int:
    """The exit code of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        for built in Path(folder).glob("model/passes/_kernel*"):
            built.unlink()
        flags = os.environ | {"MCD_KERNEL_FLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined"}
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(build, cwd=folder, check=True, env=flags)
        # Python itself is not instrumented, so the sanitizer has to be loaded first.
        names = ("libasan.so", "libubsan.so", "libstdc++.so")
        preloaded = " ".join(_library(name) for name in names)
        options = {"LD_PRELOAD": preloaded, "ASAN_OPTIONS": SETTINGS, "CI": "true"}
        tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        environment = os.environ | options | {"PYTHONPATH": folder}
        return subprocess.run(tests, cwd=folder, env=environment, check=False).returncode


def _library(name: str) -> str:
    """The path of a library of the compiler."""
    asked = ["g++", f"-print-file-name={name}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
