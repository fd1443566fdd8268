"""Attacks on what supports the server: temporary files, disks, models, proxies, checkpoints."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.benchmarks.chaos.finding import Finding
from tests.benchmarks.chaos.messages import Attack
from tests.journeys.serving import served, until


def metrics(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Temporary files vanish, nothing can be written, and a process of two is killed."""
    temporary = place / "temporary"
    temporary.mkdir()
    options = ("--model", models[0], "--workers", "2")
    with served(place, *options, TMPDIR=str(temporary)) as server:
        until(lambda: len(server.children()) == 2)
        shutil.rmtree(temporary)
        for process in (server.process.pid, *server.children()):
            resource.prlimit(process, resource.RLIMIT_FSIZE, (0, 0))
        victim = server.children()[0]
        os.kill(victim, signal.SIGKILL)
        started = time.monotonic()
        until(lambda: victim not in server.children() and len(server.children()) == 2)
        until(server.ready)
        yield Finding("metrics", "seconds until a killed process is replaced", _since(started), 15)
        statuses = [httpx.get(f"{server.url}/metrics").status_code for _ in range(20)]
        failed = sum(status != 200 for status in statuses)
        yield Finding("metrics", "of 20 answers of /metrics not 200", failed, 0)


def models_folder(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Entries that cannot be read, at the start and later; another model comes after them."""
    folder = place / "models"
    folder.mkdir()
    shutil.copytree(models[0], folder / "first")
    (folder / "dangling").symlink_to(place / "nowhere")
    (folder / "round").symlink_to(folder / "round")
    settings = {"MCD_MODELS_DIR": str(folder), "MCD_WATCH_SECONDS": "0.5"}
    with served(place, **settings) as server:
        (folder / "empty").mkdir()
        (folder / "broken").mkdir()
        (folder / "broken" / "card.json").write_text("{")
        time.sleep(1.5)
        shutil.copytree(models[1], folder / "second")
        started = time.monotonic()
        until(lambda: len(httpx.get(f"{server.url}/models").json()["models"]) == 2, 20)
        yield Finding("models folder", "seconds until a later model is served", _since(started), 5)
        told = {name for name in ("dangling", "broken") if name in server.log.read_text()}
        yield Finding("models folder", "faults that the log does not name", 2 - len(told), 0)


def proxies(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """A path prefix on the fast routes, a refused preflight, and settings that cannot be meant."""
    settings = {"MCD_ROOT_PATH": "/mcd", "MCD_CORS_ORIGINS": "https://example.org"}
    with served(place, "--model", models[0], **settings) as server:
        apart = 0
        for prefix in ("", "/mcd", "/mcd/mcd"):
            card = httpx.get(f"{server.url}{prefix}/models").status_code == 200
            predicted = httpx.post(f"{server.url}{prefix}/predict", json={}).status_code == 422
            apart += card != predicted
        yield Finding("proxies", "prefixes that only some routes know", apart, 0)
        headers = {"origin": "https://other.org", "access-control-request-method": "POST"}
        answer = httpx.options(f"{server.url}/predict", headers=headers)
        shaped = answer.json().keys() == {"error", "code", "details"}
        named = bool(answer.headers.get("x-request-id"))
        yield Finding("proxies", "refused preflight in another shape", 2 - shaped - named, 0)
    wrong = {
        "MCD_ROOT_PATH": "/é",
        "MCD_MAX_BODY_BYTES": str(10**20),
        "MCD_REQUEST_TIMEOUT_SECONDS": "1e-9",
    }
    taken = sum(_starts(name, value) for name, value in wrong.items())
    yield Finding("proxies", "settings taken that cannot be meant", taken, 0)


MEASURE = """if True:
    import resource, subprocess, sys
    code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
    print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    """
"""Runs a command from a small process: the peak of a child counts the memory of its parent, too."""


def files(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """A checkpoint of 1 MB that unpacks to 1 GB: it is refused by what its directory says."""
    bomb = place / "bomb.pt"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("net/data/0", "w", force_zip64=True) as entry:
            for _block in range(1024):
                entry.write(bytes(1 << 20))
        archive.writestr("net/data.pkl", b"\x80\x02}q\x00.")
    description = place / "net.json"
    layers = '[{"linear": "1"}, {"activation": "relu"}, {"dropout": 0.1}, {"linear": "4"}]'
    description.write_text(f'{{"features": ["a"], "target": {{"name": "y"}}, "layers": {layers}}}')
    command = [sys.executable, "-m", "model", "import", "--architecture", description]
    command += ["--weights", bomb, "--out", place / "imported"]
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, command)], capture_output=True, text=True
    )
    code, kibibytes = map(int, ended.stdout.split())
    words = ended.stderr.strip()[-90:]
    yield Finding("files", f"exit code ({words})", code, 2)
    yield Finding("files", "accepted", float(code == 0), 0)
    yield Finding("files", "peak memory, MiB", kibibytes / 1024, 500)
    del models


ATTACKS: dict[str, Attack] = {
    "metrics": metrics,
    "models_folder": models_folder,
    "proxies": proxies,
    "files": files,
}


def _since(started: float) -> float:
    return time.monotonic() - started


def _starts(name: str, value: str) -> bool:
    """Whether a server starts with this setting; it ends at once where the setting is refused."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0"],
        env={**os.environ, name: value},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return process.wait(5) != 2
    except subprocess.TimeoutExpired:
        return True
    finally:
        process.kill()
