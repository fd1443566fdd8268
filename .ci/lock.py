"""Writes the versions and hashes of all dependencies into locks/, with uv (`pip install uv`).

The four files are for every platform and Python version of the project. PyTorch is in a file of
its own: its builds for CPUs are on an index of its own, and PyPI has no hashes of them.
"""

import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "locks"
COMPILE = ("uv", "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--quiet")
OPTIONS = ("--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url")
OF_TORCH = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")  # and its libraries for CUDA
HEADER = "# Written by .ci/lock.py. {}\n"


def main() -> None:
    """Write the files; those of the service have the versions that CI has tested."""
    LOCKS.mkdir(exist_ok=True)
    everything = compiled("--extra", "test", "--extra", "docs", "--extra", "ray")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as tested:
        tested.write("".join(everything))
        tested.flush()
        service = compiled("--constraint", tested.name)
        training = compiled("--extra", "train", "--constraint", tested.name)
    write("ci", "What the service, its tests and its docs need, but PyTorch.", everything)
    write("service", "What the service needs, but PyTorch.", service)
    write("train", "What training needs beside, but PyTorch.", beside(training, service))
    write("torch", "PyTorch of PyPI, with its libraries for CUDA.", service, of_torch=True)


def compiled(*options: str) -> list[str]:
    """The requirements, each with its hashes."""
    command = [*COMPILE, *OPTIONS, *options]
    ended = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return re.findall(r"^\S.*\n(?: .*\n)*", ended.stdout, re.M)


def beside(requirements: list[str], others: list[str]) -> list[str]:
    """The requirements that are not among the others."""
    return [each for each in requirements if each not in others]


def write(name: str, text: str, requirements: list[str], *, of_torch: bool = False) -> None:
    """Write those of PyTorch into a file, or the others."""
    chosen = [each for each in requirements if bool(OF_TORCH.match(each)) == of_torch]
    (LOCKS / f"{name}.txt").write_text(HEADER.format(text) + "".join(chosen))


if __name__ == "__main__":
    main()
