"""Find the tensors in a file of `torch.save` or safetensors, and read each when it is asked for.

Nothing in a file is executed, and what a file says of its sizes is checked before anything is read:
the entries of a zip archive are stored as they are and fit into the file, and a tensor fits into
its storage. torch has written zip archives since version 1.6, and before that several pickles with
the numbers after them.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.errors import ArtifactError
from model.importing.pickles import Made, Name, Outside, described
from model.messages import shown

PICKLE_LIMIT_BYTES = 16 << 20  # without the numbers, which are stored outside of it
_LEGACY = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # near the begin of files of torch before 1.6
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
_REBUILT = "torch._utils._rebuild_"
_PARAMETERS = (f"{_REBUILT}parameter", f"{_REBUILT}parameter_with_state")
_PLAIN = (f"{_REBUILT}tensor", f"{_REBUILT}tensor_v2")

Storages = Callable[[str, int], bytes]  # the bytes of a storage, by its key and its size


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor in a file: its shape and number format, and `read`, which returns its numbers.

    A tensor that cannot be read has a `fault`, worded to follow its name.
    """

    shape: tuple[int, ...]
    kind: str
    read: Callable[[], Tensor]
    fault: str = ""


def read_checkpoint(path: Path) -> Any:
    """The content of a file of any ending: dicts, lists and constants, tensors as `Entry`.

    Raises ArtifactError for a file that neither torch nor safetensors wrote.
    """
    try:
        with path.open("rb") as file:
            head = file.read(32)
        if head.startswith(b"PK\x03\x04"):
            return _Zip(path).content()
        if head[:1] == b"\x80" and _LEGACY in head:
            return _Legacy(path).content()
        if head[8:9] == b"{":
            return _safetensors(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is no safetensors file: {error}") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except ArtifactError:
        raise
    except Exception as error:  # reading arbitrary bytes may raise any exception
        said = f"is damaged, or torch.save did not write it ({shown(str(error))})"
        raise ArtifactError(f"{path} {said}") from error
    raise ArtifactError(
        f"{path} is no file of weights: neither torch.save nor safetensors wrote it; "
        "write it with torch.save(module.state_dict(), ...)"
    )


def described_kind(value: object) -> str:
    """The kind of a value that is no tensor, for messages."""
    if isinstance(value, Made):
        maker = value.maker
        return f"an object of {shown(maker.full)}" if isinstance(maker, Name) else "an object"
    kinds: dict[type, str] = {Entry: "a tensor", bool: "a boolean", str: "a text"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def _safetensors(path: Path) -> dict[str, Entry]:
    with safe_open(path, framework="pt") as file:
        parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 no mapping
        return {
            key: Entry(tuple(part.get_shape()), part.get_dtype(), _reader(path, key))
            for key, part in parts.items()
        }


def _reader(path: Path, key: str) -> Callable[[], Tensor]:
    def read() -> Tensor:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(key)
            return tensor

    return read


class _Zip:
    """A file of torch.save: a zip archive with a pickle and an entry for every storage."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
        self._check_sizes(entries)
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"it has {len(roots)} entries data.pkl")
        self._root, self._entries = roots[0], entries

    def content(self) -> Any:
        """The content of the pickle, with its tensors as entries."""
        if f"{self._root}constants.pkl" in self._entries:
            raise ArtifactError(
                f"{self._path} is a TorchScript archive; write the state dict alone: "
                "torch.save(module.state_dict(), ...)"
            )
        if f"{self._root}byteorder" in self._entries and self._read("byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        size = self._entries[f"{self._root}data.pkl"].file_size
        if size > PICKLE_LIMIT_BYTES:
            raise ValueError(f"its pickle has {size} bytes, at most {PICKLE_LIMIT_BYTES} are read")
        root = described(io.BytesIO(self._read("data.pkl")))
        return _with_tensors(root, self._storage)

    def _check_sizes(self, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        for name, entry in entries.items():
            stored = entry.compress_type == zipfile.ZIP_STORED
            if not stored or entry.file_size != entry.compress_size:
                raise ArtifactError(
                    f"{self._path}: {shown(name)} is compressed, {entry.compress_size} bytes for "
                    f"{entry.file_size}; torch.save stores entries as they are, so save it again"
                )
        claimed, held = sum(each.file_size for each in entries.values()), self._path.stat().st_size
        if claimed > held:
            raise ArtifactError(f"{self._path} claims {claimed} bytes, more than its {held}")

    def _read(self, name: str) -> bytes:
        with zipfile.ZipFile(self._path) as archive:
            return archive.read(f"{self._root}{name}")

    def _storage(self, key: str, size: int) -> bytes:
        entry = self._entries.get(f"{self._root}data/{key}")
        if entry is None or entry.file_size < size:
            raise ValueError(f"storage {shown(key)} is missing or shorter than {size} bytes")
        return self._read(f"data/{key}")


class _Legacy:
    """A file of torch.save before 1.6: five pickles, then the storages in the order of their keys.

    The pickles are a magic number, a version, the system, the content and the keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}  # start and end of each storage

    def content(self) -> Any:
        """The content of the fourth pickle, with its tensors as entries."""
        with self._path.open("rb") as file:
            head = io.BytesIO(file.read(PICKLE_LIMIT_BYTES))
            _, _, system, root, keys = [described(head) for _ in range(5)]
            if not system.get("little_endian", True):
                raise ValueError("its numbers are big-endian")
            file.seek(head.tell())
            self._place(file, keys, _item_sizes(root))
        return _with_tensors(root, self._storage)

    def _place(self, file: BinaryIO, keys: list[str], sizes: Mapping[str, int]) -> None:
        length = self._path.stat().st_size
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            start = file.tell()
            end = start + count * sizes[key]
            if not start <= end <= length:
                raise ValueError(f"storage {shown(key)} is longer than the file")
            self._places[key] = start, end
            file.seek(end)

    def _storage(self, key: str, size: int) -> bytes:
        start, end = self._places[key]
        if end - start < size:
            raise ValueError(f"storage {shown(key)} is shorter than {size} bytes")
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def _with_tensors(root: Any, storages: Storages) -> Any:
    """The content with an entry for each tensor, and dicts and lists of the same shape.

    A dict or list that contains itself, or that is shared, is copied once.
    """
    copies: dict[int, Any] = {}

    def copied(value: Any) -> Any:
        if isinstance(value, Made):
            return _entry(value, storages) or value
        if isinstance(value, dict | list | tuple):
            if id(value) not in copies:
                copies[id(value)] = {} if isinstance(value, dict) else []
                waiting.append(value)
            return copies[id(value)]
        return value

    waiting: list[Any] = []
    result = copied(root)
    while waiting:  # no recursion: a file may be nested a million levels deep
        value = waiting.pop()
        if isinstance(value, dict):
            copies[id(value)].update({key: copied(each) for key, each in value.items()})
        else:
            copies[id(value)].extend(map(copied, value))
    return result


def _item_sizes(root: Any) -> dict[str, int]:
    """The bytes of a number in each storage that the tensors below `root` name."""
    sizes: dict[str, int] = {}
    waiting, seen = [root], set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Outside):
            dtype, key, _ = _storage_of(value)
            sizes[key] = dtype.itemsize
        elif isinstance(value, Made):
            waiting += [value.maker, *value.arguments]
        elif isinstance(value, dict | list | tuple):
            waiting += value.values() if isinstance(value, dict) else value
    return sizes


def _entry(made: Made, storages: Storages) -> Entry | None:
    """The tensor that the call would rebuild; None if it would make something else."""
    maker = made.maker.full if isinstance(made.maker, Name) else ""
    if maker in _PARAMETERS and made.arguments and isinstance(made.arguments[0], Made):
        return _entry(made.arguments[0], storages)
    if maker == "torch._tensor._rebuild_from_type_v2" and len(made.arguments) > 2:
        inner, _, arguments, *_ = made.arguments
        return _entry(Made(inner, arguments), storages) if isinstance(arguments, tuple) else None
    if maker in _PLAIN:
        try:
            return _plain(made.arguments, storages)
        except (AttributeError, TypeError, ValueError) as error:
            return _unreadable(f"cannot be read: {error}")
    if maker.startswith(_REBUILT):  # sparse, quantised, without storage, ...
        kind = shown(maker.removeprefix(_REBUILT))
        return _unreadable(f"is stored as {kind}, not as plain numbers")
    return None


def _unreadable(fault: str) -> Entry:
    return Entry((), "", lambda: torch.zeros(()), fault)


def _plain(arguments: tuple[Any, ...], storages: Storages) -> Entry:
    outside, offset, shape, stride, *_ = arguments
    dtype, key, count = _storage_of(outside)
    _check_inside(offset, shape, stride, count)

    def read() -> Tensor:
        content = storages(key, count * dtype.itemsize)
        if not math.prod(shape):
            return torch.zeros(shape, dtype=dtype)
        numbers = torch.frombuffer(bytearray(content), dtype=dtype, count=count)
        return numbers.as_strided(shape, stride, offset)

    return Entry(shape, str(dtype).removeprefix("torch."), read)


def _storage_of(outside: Any) -> tuple[torch.dtype, str, int]:
    """Number format, key and length of a storage."""
    word, kind, key, _, count, *view = outside.id
    name = kind.full.removeprefix("torch.")
    if word != "storage" or name not in _STORAGES or any(each is not None for each in view):
        raise ValueError(f"a storage is {shown(name)}, which is not read")
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise ValueError("a storage has no key or no length")
    return _STORAGES[name], key, count


def _check_inside(offset: Any, shape: Any, stride: Any, count: int) -> None:
    """Raise ValueError unless the tensor fits into a storage of `count` numbers, without repeats.

    With strides of 0, a few numbers could claim to be many.
    """
    numbers = (offset, *shape, *stride)
    if len(shape) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError("a tensor has no shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if math.prod(shape) and (last >= count or math.prod(shape) > count):
        raise ValueError(f"a tensor claims {math.prod(shape)} numbers, its storage has {count}")
