"""Attacks by bodies and answers: much structure, much memory, many chunks, slow readers."""

import gzip
import json
import resource
import signal
import socket
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.chaos.client import (
    ROW,
    ask,
    connect,
    cpu_seconds,
    mebibytes,
    metric,
    post,
    probing,
)
from tests.benchmarks.chaos.finding import Finding
from tests.benchmarks.chaos.messages import GZIP, Attack, keys, many, named_rows, options, warmed
from tests.journeys.serving import served


def structure(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Small bodies of much structure: none may stop the event loop, or take much memory."""
    million = range(1_000_000)
    v2, v2_data = "/v2/models/diabetes/infer", b'{"inputs":[{"name":"input","shape":[1,10],'
    hostile = {
        "a million unknown keys": ("/predict", b'{"rows":[],' + keys(range(700_000)) + b"}"),
        "a few unknown keys more": ("/predict", b'{"rows":[],' + keys(range(4_000)) + b"}"),
        "rows of empty objects": ("/predict", b'{"rows":[":",' + many(b"{}", 2_500_000) + b"]}"),
        "fewer empty objects": ("/predict", b'{"rows":[":",' + many(b"{}", 20_000) + b"]}"),
        "10,000 rows of which the last is wrong": (
            "/predict",
            json.dumps({"rows": [ROW] * 9_999 + [["x"] * 10]}).encode(),
        ),
        "10,000 good rows as objects": ("/models/diabetes/predict", named_rows(10_000)),
        "arrays of arrays": (
            v2,
            v2_data + b'"datatype":"FP64","data":[' + many(b"[]", 2_500_000) + b"]}]}",
        ),
        "deep arrays": (v2, b"[" * 4_000_000 + b"]" * 4_000_000),
        "empty tensors": (v2, b'{"inputs":[' + many(b"{}", 2_500_000) + b"]}"),
        "fewer empty tensors": (v2, b'{"inputs":[' + many(b"{}", 20_000) + b"]}"),
        "one key twice among 400,000 values": (
            "/predict",
            b'{"rows":[[' + many(b"1.5", 400_000) + b']],"a":1,"a":2}',
        ),
        "half a million numbers of 17 digits": (
            "/predict",
            b'{"rows":[[' + many(b"0.12345678901234567", 400_000) + b"]]}",
        ),
        "a string of commas": ("/predict", b'{"rows":["' + b",:[{" * 2_000_000 + b'"]}'),
        "escaped quotes": ("/predict", b'{"rows":["' + b'\\"' * 4_000_000 + b'"]}'),
        "distinct keys in small objects": (
            "/predict",
            b'{"rows":['
            + b",".join(b"{" + keys(range(at, at + 9)) + b"}" for at in million[:200_000:10])
            + b"]}",
        ),
    }
    with served(place, *options(models)) as server:
        before = warmed(server)
        for name, (path, body) in hostile.items():
            time.sleep(0.3)
            message = post(path, gzip.compress(body, 1), GZIP)
            with probing(server) as took:
                statuses = Counter(ask(server, message)[0] for _ in range(3))
                time.sleep(0.1)
            yield Finding(
                "structure", f"{name}: slowest probe, ms {dict(statuses)}", 1e3 * max(took), 50
            )
        yield Finding(
            "structure",
            "peak memory over the memory before, MiB",
            mebibytes(server, "VmHWM") - before,
            250,
        )


def address_space(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """The same where the system refuses memory: the server still ends at SIGTERM."""
    with served(place, *options(models)) as server:
        warmed(server)
        size = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]) * 4096
        bound = size + (4 << 20)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (bound, bound))
        body = b'{"rows":[' + many(b"[1,2,3]", 10_000) + b"]}"
        digits = json.dumps({"rows": [[0] * 61] * 20, "passes": 100, "samples": True}).encode()
        with ThreadPoolExecutor(16) as pool:
            sent = [pool.submit(ask, server, post("/predict", body)) for _ in range(64)]
            sent += [
                pool.submit(ask, server, post("/models/digits/predict", digits)) for _ in range(64)
            ]
            statuses = Counter(each.result()[0] for each in sent)
        yield Finding(
            "address space",
            f"liveness afterwards fails {dict(statuses)}",
            float(not server.ready()),
            0,
        )
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        yield Finding(
            "address space", "seconds until the end after SIGTERM", time.monotonic() - started, 35
        )


def memory(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Large answers, readers that do not read, and bodies that do not end."""
    body = json.dumps({"rows": [[0.0] * 61] * 20, "passes": 10_000, "samples": True})
    with served(place, *options(models)) as server:
        before = warmed(server)
        status = ask(server, post("/models/digits/predict", body.encode()))[0]
        yield Finding(
            "memory",
            "samples of digits, 20 rows x 10,000 passes: accepted",
            float(status == 200),
            0,
        )
        sampled = json.dumps({"rows": [[0.0] * 61] * 2, "passes": 10_000, "samples": True}).encode()
        readers = [connect(server) for _ in range(24)]
        for each in readers:
            each.sendall(post("/models/digits/predict", sampled))
        wide = json.dumps({"rows": [[0.5] * 4] * 5_000}).encode()
        more = [connect(server) for _ in range(24)]
        for each in more:
            each.sendall(post("/models/hundred/predict", wide))
        time.sleep(15)
        yield Finding(
            "memory", "48 readers that do not read, MiB", mebibytes(server, "VmHWM") - before, 512
        )
        held = metric(server, "mcd_in_flight_bytes") / 2**20
        yield Finding("memory", "mcd_in_flight_bytes, MiB", held, 256)
        for each in [*readers, *more]:
            each.close()
        time.sleep(3)
        yield Finding("memory", "kept after they have left, MiB", mebibytes(server) - before, 100)
    with served(place, *options(models)) as server:
        before = warmed(server)
        halves = [connect(server) for _ in range(300)]
        message = post("/predict", b'{"rows":[[' + b"1," * 3_900_000)
        for each in halves:
            each.settimeout(5)
            with suppress(OSError):
                each.sendall(message[:-1])
        yield Finding(
            "memory",
            "300 bodies of 7.8 MB that do not end, MiB",
            mebibytes(server, "VmHWM") - before,
            512,
        )
        refused = metric(server, 'mcd_rejected_total{reason="overloaded"}')
        yield Finding("memory", "of them not refused with 429", 300 - refused, 40)
        for each in halves:
            each.close()
        time.sleep(3)
        yield Finding("memory", "kept after they have left, MiB", mebibytes(server) - before, 100)
        status = ask(server, post("/predict", {"rows": [ROW]}))[0]
        yield Finding("memory", "a request afterwards fails", float(status != 200), 0)


def drip(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """A client that reads a large answer byte by byte; the limit is 4 s here, 60 by default."""
    wide = json.dumps({"rows": [[0.5] * 4] * 5_000}).encode()
    with served(place, *options(models), MCD_REQUEST_TIMEOUT_SECONDS="4") as server:
        warmed(server)
        with connect(server) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(post("/models/hundred/predict", wide))
            started = time.monotonic()
            while metric(server, "mcd_in_flight_bytes") > 0 or time.monotonic() - started < 1:
                reader.recv(100)
                time.sleep(0.1)
                if time.monotonic() - started > 40:
                    break
            yield Finding(
                "drip",
                "seconds that a reader of 1 kB/s holds the answer",
                time.monotonic() - started,
                12,
            )


def chunks(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Two million chunks of one byte."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(place, *options(models[:1])) as server:
        warmed(server)
        before = cpu_seconds(server)
        with probing(server) as took:
            status = ask(server, head + b"1\r\n \r\n" * 2_000_000 + b"0\r\n\r\n")[0]
        yield Finding("chunks", f"CPU seconds (status {status})", cpu_seconds(server) - before, 1)
        yield Finding("chunks", "slowest probe, ms", 1e3 * max(took), 50)


ATTACKS: dict[str, Attack] = {
    "structure": structure,
    "address_space": address_space,
    "memory": memory,
    "drip": drip,
    "chunks": chunks,
}
