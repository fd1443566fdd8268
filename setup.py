"""Compile the kernel for small networks, where a C++ compiler is; pyproject.toml has all the rest.

Without it, torch computes everything. `MCD_KERNEL=off pip install .` leaves it out.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path("model/passes/kernel")
FLAGS = ["-O3", "-std=c++17", "-fno-math-errno", "-Wno-psabi"]

kernel = Extension(
    "model.passes._kernel",
    [str(path) for path in sorted(FOLDER.glob("*.cpp"))],
    depends=[str(path) for path in sorted(FOLDER.glob("*.hpp"))],
    extra_compile_args=FLAGS + os.environ.get("MCD_KERNEL_FLAGS", "").split(),
    language="c++",
    optional=True,
    py_limited_api=True,  # it does not use Python at all
)

setup(
    ext_modules=[] if os.environ.get("MCD_KERNEL") == "off" else [kernel],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
