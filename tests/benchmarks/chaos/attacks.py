"""Attacks over a connection, by name. Each is a generator of findings."""

import gzip
import json
import random
import signal
import socket
import threading
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.benchmarks.chaos.client import (
    ROW,
    answer,
    ask,
    connect,
    cpu_seconds,
    mebibytes,
    metric,
    post,
    probing,
)
from tests.benchmarks.chaos.finding import Finding
from tests.journeys.serving import Served, served

GZIP = "Content-Encoding: gzip"


Attack = Callable[[Path, list[Path], Namespace], Iterator[Finding]]


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
    import resource

    with served(place, *options(models)) as server:
        before = warmed(server)
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
        del before


def memory(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Large answers, readers that do not read, and bodies that do not end."""
    body = json.dumps({"rows": [[0.0] * 61] * 20, "passes": 10_000, "samples": True})
    with served(place, *options(models)) as server:
        before = warmed(server)
        status, _ = ask(server, post("/models/digits/predict", body.encode()))
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
        statuses = Counter[int]()
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
        good, _ = ask(server, post("/predict", {"rows": [ROW]}))
        del statuses, good
        for each in halves:
            each.close()
        time.sleep(3)
        yield Finding("memory", "kept after they have left, MiB", mebibytes(server) - before, 100)
        status, _ = ask(server, post("/predict", {"rows": [ROW]}))
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


def pace(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Requests of many passes beside requests of one row, which must not wait for them."""
    heavy = post("/predict", {"rows": [ROW] * 40, "passes": 10_000, "masks": "per_row"})
    light = post("/predict", {"rows": [ROW]})
    with served(place, *options(models)) as server:
        warmed(server)
        alone = _latencies(server, light, 100)
        yield Finding("pace", "one row alone, p50, ms", float(np.percentile(alone, 50)), 1e9)
        ended = threading.Event()

        def keep_asking() -> int:
            count = 0
            while not ended.is_set():
                count += ask(server, heavy)[0] == 200
            return count

        with ThreadPoolExecutor(26) as pool:
            busy = [pool.submit(keep_asking) for _ in range(26)]
            time.sleep(2)
            beside = _latencies(server, light, 300)
            other = _latencies(
                server, post("/predict", {"rows": [ROW], "passes": 50, "seed": 3}), 30
            )
            ended.set()
        yield Finding(
            "pace",
            "one row beside 26 heavy requests, p50, ms",
            float(np.percentile(beside, 50)),
            250,
        )
        yield Finding("pace", "the same, p99, ms", float(np.percentile(beside, 99)), 250)
        yield Finding("pace", "options never asked before, slowest, ms", max(other), 500)
        yield Finding(
            "pace", f"heavy requests without an answer (of {sum(b.result() for b in busy)})", 0.0, 0
        )


def stops(place: Path, models: list[Path], asked: Namespace) -> Iterator[Finding]:
    """Stops of two workers under load: no accepted request is lost, no connection is reset."""
    lost: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    light = post("/predict", {"rows": [ROW]})
    for _ in range(asked.stops):
        with served(place, *options(models[:1]), "--workers", "2") as server:
            time.sleep(1.5)  # until both are ready
            ended = threading.Event()

            def load(server: Served = server, ended: threading.Event = ended) -> None:
                while not ended.is_set():
                    try:
                        connection = connect(server, 10)
                    except ConnectionRefusedError:
                        return  # the listener is closed: nothing was accepted
                    except OSError as error:
                        lost[type(error).__name__] += 1
                        return
                    with connection:
                        try:
                            connection.sendall(light)
                            status = answer(connection)[0]
                        except OSError as error:
                            lost[type(error).__name__] += 1
                            return
                        lost["no answer"] += status == 0
                        lost["status"] += status not in (0, 200, 503)

            with ThreadPoolExecutor(8) as pool:
                for _ in range(8):
                    pool.submit(load)
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)
                codes[server.process.wait(60)] += 1
                ended.set()
    yield Finding(
        "stops", f"lost or reset in {asked.stops} stops {dict(+lost)}", sum(lost.values()), 0
    )
    yield Finding("stops", "exit codes other than 0", asked.stops - codes[0], 0)


def chunks(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Two million chunks of one byte."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(place, *options(models[:1])) as server:
        warmed(server)
        before = cpu_seconds(server)
        with probing(server) as took:
            status, _ = ask(server, head + b"1\r\n \r\n" * 2_000_000 + b"0\r\n\r\n")
        yield Finding("chunks", f"CPU seconds (status {status})", cpu_seconds(server) - before, 1)
        yield Finding("chunks", "slowest probe, ms", 1e3 * max(took), 50)


def soak(place: Path, models: list[Path], asked: Namespace) -> Iterator[Finding]:
    """Many requests, one in twenty bad and one in a hundred hostile."""
    good = [post("/predict", {"rows": [ROW] * rows}) for rows in (1, 1, 1, 2, 8)]
    good.append(post("/models/digits/predict", {"rows": [[0.0] * 61]}))
    bad = [
        post("/predict", b'{"rows": [[NaN]]}'),
        post("/predict", {"rows": [["x"] * 10]}),
        post("/predict", {"rows": [ROW], "passes": 1}),
        post("/nowhere", {}),
        post("/predict", b"{"),
    ]
    hostile = [
        post("/predict", gzip.compress(b'{"rows":[":",' + many(b"{}", 200_000) + b"]}"), GZIP),
        post("/v2/models/diabetes/infer", gzip.compress(b"[" * 10**6), GZIP),
        post("/predict", gzip.compress(b" " * (9 << 20)), GZIP),
        post("/predict", {"rows": [ROW] * 40, "passes": 10_000, "masks": "per_row"}),
        post("/models/hundred/predict", {"rows": [[0.5] * 4] * 200}),
    ]
    statuses: Counter[int] = Counter()
    sizes: list[float] = []

    def work(server: Served, seed: int, count: int) -> Counter[int]:
        chance, seen = random.Random(seed), Counter[int]()
        connection = connect(server, 120)
        for _ in range(count):
            kind = chance.random()
            message = chance.choice(hostile if kind < 0.01 else bad if kind < 0.06 else good)
            try:
                connection.sendall(message)
                status, _ = answer(connection)
            except OSError:
                status = 0
            seen[status] += 1
            if status in (0, 413):  # the connection may be closed
                connection.close()
                connection = connect(server, 120)
        connection.close()
        return seen

    with served(place, *options(models)) as server, probing(server) as took:
        for third in range(3):
            each = asked.requests // 3 // 8
            with ThreadPoolExecutor(8) as pool:
                for seen in pool.map(
                    lambda at, e=each, t=third: work(server, 100 * t + at, e), range(8)
                ):
                    statuses.update(seen)
            time.sleep(3)
            sizes.append(mebibytes(server))
    total, failed = sum(statuses.values()), sum(n for s, n in statuses.items() if s >= 500)
    yield Finding(
        "soak",
        f"statuses >= 500 or none in {total:,} requests {dict(statuses)}",
        failed + statuses[0],
        0,
    )
    yield Finding(
        "soak",
        f"memory of the last third over the second ({sizes[1]:.0f} MiB)",
        sizes[2] / sizes[1],
        1.01,
    )
    yield Finding(
        "soak",
        f"liveness p99.9, ms, of {len(took)} probes",
        1e3 * float(np.percentile(took, 99.9)),
        50,
    )


ATTACKS: dict[str, Attack] = {
    "structure": structure,
    "address_space": address_space,
    "memory": memory,
    "drip": drip,
    "pace": pace,
    "stops": stops,
    "chunks": chunks,
    "soak": soak,
}


def options(models: list[Path]) -> list[str]:
    """The arguments that name the models, `diabetes` first."""
    ordered = sorted(models, key=lambda folder: folder.name != "diabetes")
    return [part for folder in ordered for part in ("--model", str(folder))]


def warmed(server: Served) -> float:
    """The memory of the server after some requests, MiB."""
    for rows in (1, 1, 100, 1000):
        assert ask(server, post("/predict", {"rows": [ROW] * rows}))[0] == 200
    return mebibytes(server)


def many(part: bytes, count: int) -> bytes:
    """The part so many times, with commas."""
    return b",".join([part] * count)


def keys(numbers: range) -> bytes:
    """Members of an object, each with a key of its own."""
    return b",".join(b'"%d":0' % number for number in numbers)


def named_rows(count: int) -> bytes:
    """Rows of `diabetes` as objects."""
    import model

    folder = next(each for each in model.shipped() if each.name == "diabetes")
    names = [feature.name for feature in model.load(folder).card.features]
    return json.dumps({"rows": [dict(zip(names, ROW, strict=True))] * count}).encode()


def _latencies(server: Served, message: bytes, count: int) -> list[float]:
    """Milliseconds of requests one after the other on one connection."""
    found = []
    with connect(server) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.sendall(message)
            assert answer(connection)[0] == 200
            found.append(1e3 * (time.perf_counter() - started))
    return found
