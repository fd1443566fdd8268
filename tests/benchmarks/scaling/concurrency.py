"""Two workers over one, two threads over one, and what workers, connections and hashes cost."""

import hashlib
import socket
import statistics
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.benchmarks.scaling.measuring import Kind, Machine, Target, memory_mb, used
from tests.benchmarks.serving import serving
from tests.benchmarks.traffic import Outcome

HEAVY = Kind(64, 1_000)  # a request whose computation takes nearly all of its CPU time
WIDE = Kind(1_000, 1_000, "plain")  # one batch, of which threads take parts
CONNECTIONS = 500
SCRAPES = 50


def workers(artifact: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Requests per second of two processes over those of one, in turns."""
    with serving(artifact) as one, serving(artifact, MCD_WORKERS="2") as two:
        found = _in_turns({"1": one, "2": two}, HEAVY, 8, (seconds, rounds))
        return {**found, "memory_mb": {"1": memory_mb(one.process.pid), **_memory(two)}}


def threads(artifact: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Requests per second of one process with two threads over one thread: alone, and beside two
    other processes that want the cores."""
    found = {}
    with serving(artifact) as one, serving(artifact, MCD_THREADS="2") as two:
        for name, others in (("alone", 0), ("busy", 2)):
            with _busy(others):
                found[name] = _in_turns({"1": one, "2": two}, WIDE, 1, (seconds, rounds))
    return found


def _memory(served: Any) -> dict[str, float]:
    return {"2": memory_mb(served.process.pid)}


def _in_turns(
    sides: dict[str, Any], kind: Kind, connections: int, lengths: tuple[float, int]
) -> dict[str, Any]:
    seconds, rounds = lengths
    targets = {name: Target.of(served) for name, served in sides.items()}
    for target in targets.values():
        used(target, kind.message(), connections=connections, seconds=1)
    machine, turns = Machine(), []
    for _ in range(rounds):
        turns.append(
            {
                name: used(target, kind.message(), connections=connections, seconds=seconds)
                for name, target in targets.items()
            }
        )
    ratios = [turn["2"][0].rate() / turn["1"][0].rate() for turn in turns]
    return {
        "ratio": statistics.median(ratios),
        "ratios": sorted(ratios),
        "rate": {name: statistics.median(turn[name][0].rate() for turn in turns) for name in sides},
        "cpu_ms": {
            name: statistics.median(_cpu_ms(turn[name][0], turn[name][1].cpu) for turn in turns)
            for name in sides
        },
        "share": {name: statistics.median(turn[name][1].share for turn in turns) for name in sides},
        "others": machine.others(),
    }


def _cpu_ms(outcome: Outcome, cpu: float) -> float:
    return 1000 * cpu / len(outcome.seconds[200])


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that always want a core."""
    loop = [sys.executable, "-c", "while True: pass"]
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(loop))
            stack.callback(process.kill)
        yield


def costs(artifact: Path) -> dict[str, float]:
    """Seconds and bytes of what a plan counts beside predictions."""
    with serving(artifact) as served:
        target = Target.of(served)
        began = target.usage().cpu
        for _ in range(SCRAPES):
            target.usage()  # reads the metrics
        scraped = target.usage().cpu - began
        within = Kind(1, 100, "reduced", 0.05)
        with_tolerance, stopped = used(target, within.message())
        without, fixed = used(target, Kind().message())
        before = memory_mb(served.process.pid)
        address = urlsplit(served.url)
        with ExitStack() as stack:
            for _ in range(CONNECTIONS):
                opened = socket.create_connection((address.hostname, address.port), 5)
                stack.enter_context(opened)
            time.sleep(1)
            held = memory_mb(served.process.pid) - before
        sent, received = _sizes(served.url)
    return {
        "scrape": scraped / (SCRAPES + 1),
        "tolerance": stopped.cpu / len(with_tolerance.seconds[200]),
        "no_tolerance": fixed.cpu / len(without.seconds[200]),
        "connection_bytes": 1e6 * held / CONNECTIONS,
        "request_bytes": sent,
        "answer_bytes": received,
        "hash": _hash_seconds(),
        "round_trip": _round_trip_seconds(),
    }


def _sizes(url: str) -> tuple[int, int]:
    """Bytes of a request of one row, and of its answer, with their heads."""
    address, message, answer = urlsplit(url), Kind().message(), b""
    with socket.create_connection((address.hostname, address.port), 5) as connection:
        connection.sendall(message.replace(b"\r\nhost", b"\r\nconnection: close\r\nhost", 1))
        while piece := connection.recv(65_536):
            answer += piece
    return len(message), len(answer)


def _hash_seconds() -> float:
    """To find the answer of a row in a table of 100,000, by a hash of the row and the options."""
    rows = np.random.default_rng(0).normal(size=(2_000, 8)).astype(np.float32)
    options = ("benchmark", "f4d4988ee01f8d39", 100, 1, 0.9, "reduced", "shared")
    known: OrderedDict[bytes, int] = OrderedDict((bytes([n % 256]) * 16, n) for n in range(256))
    known.update((n.to_bytes(16, "big"), n) for n in range(100_000))
    started = time.thread_time()
    for row in rows:
        key = hashlib.blake2b(row.tobytes() + repr(options).encode(), digest_size=16).digest()
        if key in known:
            known.move_to_end(key)
        known[key] = 1
        known.popitem(last=False)
    return (time.thread_time() - started) / len(rows)


def _round_trip_seconds() -> float:
    """Our CPU time to ask another process by a socket, without what that process takes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        started = time.thread_time()
        for _ in range(2_000):
            ours.sendall(b"GET 0123456789abcdef\r\n")
            theirs.recv(100)
            theirs.sendall(b"x" * 500)
            ours.recv(1_000)
        return (time.thread_time() - started) / 2_000 / 2
