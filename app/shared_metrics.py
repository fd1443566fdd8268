"""The numbers of several processes in memory that they share.

The library would keep them in files of a folder. Then the service depends on that folder and its
disk: without the folder `/metrics` fails and no process can start, and on a full disk the system
kills the process at its next write. This memory belongs to no folder, and all of it is allocated
before a process uses it.

Each process has a slot, which the process that replaces it takes over with its counts. A slot has
the bytes in use, then records. A record has the length of its key, the key, and the number. All
start at multiples of eight bytes, so that other processes never read half a number. After the slots
comes the number of connections of each process, by which they share new ones (app/server/door.py).
"""

import json
import math
import mmap
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.reduction import DupFd
from threading import Lock
from typing import Any, NamedTuple

from prometheus_client import Metric

SLOT_BYTES = 1 << 20  # about 10,000 numbers; those beyond count, but are not shown
_WORD = 8
TAKES_NONE = (1 << 63) - 1  # connections: the process takes no further one
_MERGED: dict[str, Callable[[Iterable[float]], float]] = {
    "livesum": sum,
    "livemax": max,
    "livemin": min,
}


class Key(NamedTuple):
    """What a number is: a sample of a family; `mode` is empty except for a gauge."""

    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    mode: str


class Slot:
    """The numbers of one process."""

    def __init__(self, memory: memoryview) -> None:
        self._bytes = memory
        self._words = memory.cast("Q")
        self._numbers = memory.cast("d")
        self._places: dict[Key, int] = {}
        self._known = _WORD  # the end of the records whose keys are in `_places`
        self.lock = Lock()

    def place(self, key: Key) -> int | None:
        """The place of a key's number, which is new if need be; None if the slot is full."""
        with self.lock:
            if key not in self._learned():
                self._append(key)
            return self._learned().get(key)

    def read(self, place: int) -> float:
        """The number at a place."""
        return self._numbers[place]

    def write(self, place: int, number: float) -> None:
        """Replace the number at a place."""
        self._numbers[place] = number

    def numbers(self) -> list[tuple[Key, float]]:
        """All keys and numbers, without the gauges of a process that has ended."""
        with self.lock:
            found = [(key, self._numbers[place]) for key, place in self._learned().items()]
        return [(key, number) for key, number in found if not math.isnan(number)]

    def forget_gauges(self) -> None:
        """Remove what only a running process has."""
        with self.lock:
            for key, place in self._learned().items():
                if key.mode:
                    self._numbers[place] = math.nan

    def _append(self, key: Key) -> None:
        """Add a record, if there is room for it."""
        content = json.dumps(key).encode()
        start, place = self._known, _place(self._known, len(content))
        if (place + 1) * _WORD > len(self._bytes):
            return
        self._words[start // _WORD] = len(content)
        self._bytes[start + _WORD : start + _WORD + len(content)] = content
        self._numbers[place] = 0.0
        self._words[0] = (place + 1) * _WORD  # last: from now on other processes read the record

    def _learned(self) -> dict[Key, int]:
        """The places by key, with those of records that are new, from any process."""
        while self._known < self._words[0]:
            length = self._words[self._known // _WORD]
            start = self._known + _WORD
            family, sample, labels, mode = json.loads(bytes(self._bytes[start : start + length]))
            place = _place(self._known, length)
            self._places[Key(family, sample, tuple(map(tuple, labels)), mode)] = place
            self._known = (place + 1) * _WORD
        return self._places


def _place(start: int, length: int) -> int:
    """Where the number of a record is: after its length and its key."""
    return -(-(start + _WORD + length) // _WORD)


class SharedMemory:
    """A slot for each process; can be sent to a process that is being started.

    `connections` has the number of open connections of each process, or TAKES_NONE.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        self._descriptor = descriptor
        content = memoryview(mmap.mmap(descriptor, slots * (SLOT_BYTES + _WORD)))
        self.slots = [Slot(content[at : at + SLOT_BYTES]) for at in _starts(slots)]
        self.connections = content[slots * SLOT_BYTES :].cast("q")

    @classmethod
    def allocate(cls, slots: int) -> "SharedMemory":
        """Empty slots; raises OSError if there is no memory, or no disk, for them."""
        descriptor = _unnamed_file()
        for _ in _starts(slots):
            os.write(descriptor, bytes(SLOT_BYTES))  # without this, a later write could fail
        os.write(descriptor, TAKES_NONE.to_bytes(_WORD, sys.byteorder) * slots)
        if os.fstat(descriptor).st_size < slots * (SLOT_BYTES + _WORD):
            raise OSError("there is no space for the numbers of all processes")
        return cls(descriptor, slots)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attached, (DupFd(self._descriptor), len(self.slots))


def _starts(slots: int) -> range:
    return range(0, slots * SLOT_BYTES, SLOT_BYTES)


def _attached(descriptor: Any, slots: int) -> SharedMemory:
    return SharedMemory(descriptor.detach(), slots)


def _unnamed_file() -> int:
    """A file without a name, in memory where the system has such files."""
    with suppress(AttributeError, OSError):
        return os.memfd_create("mcd-metrics")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def value_class(slot: Slot) -> type:
    """A class for `prometheus_client.values.ValueClass`, whose numbers are in the slot."""

    class SharedValue:
        """One number; the library gives what it is, and reads and writes it."""

        _multiprocess = True

        def __init__(
            self,
            kind: str,
            family: str,
            sample: str,
            names: Iterable[str],
            values: Iterable[str],
            _: str,
            multiprocess_mode: str = "",
            **_more: Any,
        ) -> None:
            labels = tuple(zip(names, values, strict=True))
            self._place = slot.place(Key(family, sample, labels, multiprocess_mode))
            self._value = 0.0
            if self._place is not None and kind != "gauge":  # of the process that this one replaces
                self._value = slot.read(self._place)
            self.set(self._value)

        def inc(self, amount: float) -> None:
            with slot.lock:
                self.set(self._value + amount)

        def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002
            self._value = float(value)
            if self._place is not None:
                slot.write(self._place, self._value)

        def get(self) -> float:
            return self._value

        def set_exemplar(self, exemplar: object) -> None:
            """The library asks for this method; exemplars are not kept."""

        def get_exemplar(self) -> None:
            """No exemplar."""

    return SharedValue


def merged(families: Iterable[Metric], slots: Iterable[Slot]) -> Iterator[Metric]:
    """The families of one process, with the numbers of all processes."""
    found: dict[str, dict[Key, list[float]]] = defaultdict(lambda: defaultdict(list))
    for slot in slots:
        for key, number in slot.numbers():
            found[key.family][key].append(number)
    for family in families:
        numbers = {
            key: _MERGED.get(key.mode, sum)(values) for key, values in found[family.name].items()
        }
        metric = Metric(family.name, family.documentation, family.type)
        for sample, labels, number in _samples(family, numbers):
            metric.add_sample(sample, labels, number)
        yield metric


def _samples(
    family: Metric, numbers: dict[Key, float]
) -> Iterator[tuple[str, dict[str, str], float]]:
    """Samples as they are shown: a bucket of a histogram has the counts of those below it."""
    below: dict[tuple[tuple[str, str], ...], float] = defaultdict(float)
    last = f"{family.name}_bucket"
    for key, number in sorted(numbers.items(), key=_order):
        labels = dict(key.labels)
        if key.sample != last:
            yield key.sample, labels, number
            continue
        *others, (_, bound) = key.labels
        below[tuple(others)] += number
        yield last, labels, below[tuple(others)]
        if bound == "+Inf":
            yield f"{family.name}_count", dict(others), below[tuple(others)]


def _order(entry: tuple[Key, float]) -> tuple[Any, ...]:
    labels = dict(entry[0].labels)
    bound = float(labels.pop("le", "0"))
    return entry[0].sample, sorted(labels.items()), bound
