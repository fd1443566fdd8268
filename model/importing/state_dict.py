"""The state dict in a file of unknown origin: find it, and take its tensors key by key.

A tensor is checked by what the file says of it before it is read. The numbers become float64, so
that folding layers loses no digits.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from model.errors import ArtifactError
from model.importing.checkpoint import Entry, described_kind, read_checkpoint
from model.messages import is_typed, listed, shown

# The keys under which checkpoints keep the state dict of a network, the usual first.
NESTED = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module")
FLOATS = ("float64", "float32", "float16", "bfloat16", "F64", "F32", "F16", "BF16")
_MOST_PARTS = 20  # of a key, which are compared with the layers
_LEVELS = 4  # of dicts and lists around a state dict
_MOST_PLACES = 10_000  # dicts and lists that are looked at
_ALONE = "write the state dict alone: torch.save(module.state_dict(), ...)"

Shape = tuple[int | None, ...]  # None: any length


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: a name, a hash, and how many numbers it can hold at most."""

    name: str
    sha256: str
    most_numbers: float

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """A file, which holds at most one number a byte."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.name, digest, path.stat().st_size)


class Weights:
    """The tensors of a state dict by key, and which of them no layer has taken yet."""

    def __init__(
        self, source: Source, entries: Mapping[Any, Any], notices: Sequence[str] = ()
    ) -> None:
        self.name, self.sha256 = source.name, source.sha256
        self.notices = list(notices)  # what a reader of the card should know
        self._entries = entries
        self._left = set(map(str, entries))
        self._most_numbers = source.most_numbers
        self._taken = 0

    @property
    def left(self) -> list[str]:
        """The keys that no layer has taken."""
        return sorted(self._left)

    def has(self, key: str) -> bool:
        """Whether there is a tensor of that key."""
        return key in self._entries

    def skip(self, key: str) -> None:
        """Count a tensor as taken that is not needed."""
        self._left.discard(key)

    def ignore(self, patterns: Sequence[str]) -> None:
        """Leave out what no layer has taken and a pattern such as `loss_fn.*` matches."""
        ignored = [key for key in self.left if any(fnmatchcase(key, each) for each in patterns)]
        self._left.difference_update(ignored)
        if ignored:
            self.notices.append(f"left out of the weights: {listed(ignored)}")

    def check_all_taken(self) -> None:
        """Raise ArtifactError naming the keys that no layer has taken."""
        for key in self.left:
            if not isinstance(self._entries.get(key), Entry):
                kind = described_kind(self._entries.get(key))
                said = f"{shown(key)} is {kind}, not a tensor; {_ALONE}"
                raise ArtifactError(f"{self.name}: {said}, or ignore it: {_advice([key])}")
        if self.left:
            left = listed([shown(key) for key in self.left], 5)
            raise ArtifactError(
                f"{self.name}: no layer of the specification takes {left}; if the outputs do not "
                f"depend on them, as on the weights of a loss, ignore them: {_advice(self.left)}"
            )

    def take(self, key: str, shape: Shape, *, why: str = "") -> Tensor:
        """The tensor as float64; raises ArtifactError naming file, key and fault.

        `why` is added to the message about a wrong shape.
        """
        where = f"{self.name}: {shown(key)}"
        entry = self._entries.get(key)
        if entry is None:
            near = [shown(each)[1:-1] for each in self._near(key)]
            raise ArtifactError(f"{where} is not there; the file has {listed(near)}, ...")
        if not isinstance(entry, Entry):
            raise ArtifactError(f"{where} is {described_kind(entry)}, not a tensor; {_ALONE}")
        if entry.fault:
            raise ArtifactError(f"{where} {entry.fault}")
        if len(entry.shape) != len(shape) or any(
            wanted not in (None, length) for wanted, length in zip(shape, entry.shape, strict=True)
        ):
            wanted = "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"
            raise ArtifactError(f"{where} has shape {list(entry.shape)}, not {wanted}{why}")
        if entry.kind not in FLOATS:
            raise ArtifactError(f"{where} is {entry.kind}; floating-point numbers are needed")
        self._count(entry, where)
        numbers = _numbers(entry, where)
        if not numbers.isfinite().all():
            raise ArtifactError(f"{where} holds a number that is not finite")
        self._left.discard(key)
        return numbers

    def _near(self, key: str) -> list[str]:
        keys = [each for each in self._entries if isinstance(each, str)]
        return get_close_matches(key, keys, n=3, cutoff=0)

    def _count(self, entry: Entry, where: str) -> None:
        """Raise ArtifactError if the tensors share so much that they outgrow the file."""
        self._taken += math.prod(entry.shape)
        if self._taken > self._most_numbers:
            said = f"claims {math.prod(entry.shape)} numbers, more than the file can hold"
            raise ArtifactError(f"{where} {said}")


def read_weights(path: str | Path, layers: Collection[str] = ()) -> Weights:
    """The weights in a file; raises ArtifactError that names it.

    `layers` are prefixes of keys. They tell which state dict is meant if the file has several, and
    what comes before them in its keys, such as `module.` or `_orig_mod.`, which is taken off.
    """
    path = Path(path)
    content = read_checkpoint(path)
    found = {place: entries for place, entries in _places(content) if _tensors(entries)}
    if not found:
        raise ArtifactError(f"{path} holds no tensors by name, {_held(content)}; {_ALONE}")
    fits = {place: max(_fits(entries, layers).values()) for place, entries in found.items()}
    best = [place for place in found if fits[place] == max(fits.values())]
    around = _around(best)
    best = [place for place in best if place not in around]
    chosen = best[0] if len(best) == 1 else _usual(path, best)
    others = [shown(place) for place in best if place != chosen]
    notices = [f"the weights are those under {shown(chosen)}, not {listed(others)}"]
    before = _before(path, _fits(found[chosen], layers))
    entries = _without(before, found[chosen]) if before else found[chosen]
    return Weights(Source.of_file(path), entries, notices if others else ())


def _places(content: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """The dicts in a file, each with the keys that lead to it, those on the outside first."""
    waiting, seen = [("", content)], set[int]()
    for level in range(_LEVELS):
        inside: list[tuple[str, Any]] = []
        for place, value in waiting[:_MOST_PLACES]:
            if id(value) in seen or not isinstance(value, dict | list):
                continue
            seen.add(id(value))
            if isinstance(value, dict):
                yield place, value
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inside += [(f"{place}.{key}" if level else str(key), each) for key, each in items]
        waiting = inside


def _tensors(entries: Mapping[Any, Any]) -> bool:
    return any(isinstance(key, str) and isinstance(each, Entry) for key, each in entries.items())


def _fits(entries: Mapping[Any, Any], layers: Collection[str]) -> dict[str, int]:
    """How many of the layers have a key, by what comes before their prefix in the keys."""
    found = {"": 0}
    for prefix in {key.rpartition(".")[0] for key in entries if isinstance(key, str)}:
        parts = prefix.split(".")
        for count in range(min(len(parts), _MOST_PARTS)):
            if ".".join(parts[count:]) in layers:
                before = "".join(f"{part}." for part in parts[:count])
                found[before] = found.get(before, 0) + 1
    return found


def _before(path: Path, fits: Mapping[str, int]) -> str:
    """What comes before the layers in the keys; raises ArtifactError if two answers fit alike."""
    if fits[""]:
        return ""
    best = [before for before, count in fits.items() if count == max(fits.values())]
    if len(best) > 1:
        networks = listed([shown(before) for before in sorted(best)], 5)
        said = f"several networks have these layers, whose keys begin with {networks}"
        raise ArtifactError(f"{path}: {said}; write that into the prefixes of the layers")
    return best[0]


def _without(before: str, entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entries by their keys without what comes before; a key that is taken stays whole."""
    keys = {key: key.removeprefix(before) if isinstance(key, str) else key for key in entries}
    return {
        key if short != key and short in entries else short: entries[key]
        for key, short in keys.items()
    }


def _around(places: Sequence[str]) -> set[str]:
    """The places that hold one of these: tensors in them lie beside a state dict."""
    parts = [place.split(".") for place in places if place]
    return {".".join(names[:count]) for names in parts for count in range(len(names))}


def _usual(path: Path, places: Sequence[str]) -> str:
    """The place with the most usual name; raises ArtifactError naming all if none is usual."""
    usual = [place for name in NESTED for place in places if place.split(".")[-1] == name]
    if usual:
        return usual[0]
    several = listed([shown(place) for place in places], 5)
    raise ArtifactError(f"{path} has several state dicts, {several}; save one of them alone")


def _held(content: Any) -> str:
    """What a file without a state dict holds, in words."""
    if not isinstance(content, dict):
        return f"it is {described_kind(content)}"
    first = next(iter(content.items()), None)
    return f"{shown(first[0])} is {described_kind(first[1])}" if first else "it is an empty dict"


def _advice(keys: Sequence[str]) -> str:
    """The option, or the field of the specification, that ignores the keys and those beside."""
    prefixes = dict.fromkeys(f"{key.split('.')[0]}.*" if "." in key else key for key in keys)
    if is_typed():
        return " ".join(f"--ignore '{each}'" for each in list(prefixes)[:5])
    patterns = ", ".join(f'"{each}"' for each in list(prefixes)[:5])
    return f'"ignore": [{patterns}] in the JSON file'


def _numbers(entry: Entry, where: str) -> Tensor:
    try:
        return entry.read().detach().double()
    except Exception as error:  # the file is of unknown origin; its checksums may be wrong
        raise ArtifactError(f"{where} cannot be read: {error}") from error
