"""A server process of its own, for the tests that need a real one."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
STOP_SECONDS = 30


@contextmanager
def serving(
    *options: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The URL of `python -m app` on a free port, run in `folder`; stopped by SIGTERM at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0", *options],
        cwd=folder,
        env=environment or {**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        greeting = process.stdout.readline()  # empty where the process ends before it listens
        url = re.search(r"http://\S+", greeting)
        assert url, f"no address in the first line: {greeting!r}"
        yield url[0]
    finally:
        process.terminate()
        process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 0
