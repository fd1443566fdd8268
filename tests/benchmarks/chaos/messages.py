"""The messages and models of the attacks, and a server that has warmed up."""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import model
from tests.benchmarks.chaos.client import ROW, ask, mebibytes, post
from tests.benchmarks.chaos.finding import Finding
from tests.journeys.serving import Served

Attack = Callable[[Path, list[Path], Namespace], Iterator[Finding]]
GZIP = "Content-Encoding: gzip"


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
    folder = next(each for each in model.shipped() if each.name == "diabetes")
    names = [feature.name for feature in model.load(folder).card.features]
    return json.dumps({"rows": [dict(zip(names, ROW, strict=True))] * count}).encode()
