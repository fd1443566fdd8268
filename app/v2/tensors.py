"""Convert tensors of the Open Inference Protocol, in JSON or bytes, to numpy arrays and back.

A shape alone allocates nothing: the functions count the values before they allocate an array.
"""

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from app.errors import InvalidRequest, NotFinite
from app.messages import nearest, quoted
from model import Detail

BYTES = "BYTES"
NUMBERS: dict[str, np.dtype[Any]] = {  # little-endian, as the protocol says
    "BOOL": np.dtype("?"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
}
_PREFIX_BYTES = 4  # the length before each text, an unsigned integer


def from_json(
    data: list[Any], datatype: str, shape: list[int], where: str, *, gaps: bool = False
) -> np.ndarray:
    """The values as an array of that shape: numbers, truth values, or str objects.

    `data` is flat in row-major order, or nested like the shape. With `gaps` a value may be null,
    which makes an array of objects. Raises InvalidRequest, and NotFinite for a number that is not
    finite in the datatype; both errors name `where`.
    """
    count = check_shape(shape, datatype, where)
    flat, lengths = _flatten(data, len(shape), where)
    if lengths not in ([len(flat)], shape):
        raise refusal(where, f"data is nested as {lengths}, but the shape is {shape}")
    if len(flat) != count:
        raise refusal(where, f"the shape {shape} has {count} values, but data has {len(flat)}")
    if gaps and None in flat:
        known = [value for value in flat if value is not None]
        values = _typed(known, datatype, where).tolist() if known else []
        found = iter(values)
        flat = [None if value is None else next(found) for value in flat]
        return np.array([*flat, None], dtype=object)[:-1].reshape(shape)
    return _typed(flat, datatype, where).reshape(shape)


def from_bytes(
    data: bytes, datatype: str, shape: list[int], where: str, *, gaps: bool = False
) -> np.ndarray:
    """Like `from_json`, from the binary form: little-endian numbers, each text after its length.

    With `gaps` a number may be NaN.
    """
    count = check_shape(shape, datatype, where)
    if datatype == BYTES:
        return np.array(_texts(data, count, where), dtype=object).reshape(shape)
    dtype = NUMBERS[datatype]
    if count * dtype.itemsize != len(data):
        needed = f"{count} values of {datatype} are {count * dtype.itemsize} bytes"
        raise refusal(where, f"{needed}, but binary_data_size is {len(data)}")
    array = np.frombuffer(data, dtype).reshape(shape)
    _check_finite(array[~np.isnan(array)] if gaps else array, datatype, where)
    return array


def to_bytes(array: np.ndarray) -> bytes:
    """The values in binary form, in row-major order."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    encoded = [text.encode() for text in array.ravel()]
    lengths = (len(text).to_bytes(_PREFIX_BYTES, "little") for text in encoded)
    return b"".join(chain.from_iterable(zip(lengths, encoded, strict=True)))


def check_shape(shape: list[int], datatype: str, where: str) -> int:
    """The number of values; raises InvalidRequest for an impossible shape or datatype."""
    if datatype != BYTES and datatype not in NUMBERS:
        known = [*NUMBERS, BYTES]
        asked = f"{quoted(datatype)} is not known{nearest(datatype, known)}"
        raise refusal(where, f"the datatype {asked}; known are {', '.join(known)}")
    if not shape or min(shape) < 0:
        raise refusal(where, f"the shape {shape} needs dimensions, none of them negative")
    count = math.prod(shape)
    if count == 0:
        raise refusal(where, f"the shape {shape} has no values; at least one row is needed")
    return count


def refusal(where: str, message: str) -> InvalidRequest:
    """An error that names a place in the request."""
    return InvalidRequest(f"{where}: {message}", [Detail(where, message)])


def _typed(flat: list[Any], datatype: str, where: str) -> np.ndarray:
    """The values as an array [values] of the datatype."""
    kinds = set(map(type, flat))
    if datatype == BYTES:
        _check_kinds(kinds, {str}, "texts", where)
        return np.array(flat, dtype=object)
    dtype = NUMBERS[datatype]
    if dtype.kind == "b":
        _check_kinds(kinds, {bool}, "true or false", where)
        array = np.array(flat, dtype=dtype)
    elif dtype.kind == "f":
        _check_kinds(kinds, {int, float}, "numbers", where)
        array = np.array(flat, dtype=np.float64)  # JSON has finite numbers only
        if dtype != array.dtype:
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
            _check_finite(array, datatype, where)
    else:
        _check_kinds(kinds, {int}, "whole numbers", where)
        try:
            array = np.array(flat, dtype=dtype)
        except OverflowError:
            raise refusal(where, f"data has a number that is out of {datatype}'s range") from None
    return array


def _flatten(data: list[Any], depth: int, where: str) -> tuple[list[Any], list[int]]:
    """The values, and the length of the list at each level, outermost first."""
    lengths = [len(data)]
    while data and type(data[0]) is list:
        sizes = set(map(len, data)) if set(map(type, data)) == {list} else set()
        if len(sizes) != 1:
            raise refusal(where, "data is ragged; the lists of one level need equal lengths")
        if len(lengths) == depth:
            raise refusal(where, f"data is nested deeper than the {depth} dimensions of the shape")
        lengths += sizes
        data = list(chain.from_iterable(data))
    return data, lengths


def _check_kinds(kinds: set[type], wanted: set[type], words: str, where: str) -> None:
    names = {type(None): "null", bool: "a boolean", str: "a text", float: "a fraction"}
    for kind in kinds - wanted:
        other = names.get(kind, f"an {'array' if kind is list else 'object'}")
        other = "a number" if kind in (int, float) and wanted == {str} else other
        raise refusal(where, f"data must be {words}; there is {other} in it")


def _check_finite(array: np.ndarray, datatype: str, where: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array.ravel()))[0])
        message = f"value {at} is not a finite number of {datatype}"
        raise NotFinite(f"{where}: {message}", [Detail(f"{where}.data.{at}", message)])


def _texts(data: bytes, count: int, where: str) -> Iterable[str]:
    if count * _PREFIX_BYTES > len(data):
        raise refusal(where, f"{count} texts do not fit into binary_data_size {len(data)}")
    texts: list[str] = []
    at = 0
    try:
        for _ in range(count):
            start = at + _PREFIX_BYTES
            at = start + int.from_bytes(data[at:start], "little")
            if start > len(data) or at > len(data):
                raise refusal(where, f"the text {len(texts)} is longer than the data")
            texts.append(data[start:at].decode())
    except UnicodeDecodeError:
        raise refusal(where, f"the text {len(texts)} is not UTF-8") from None
    if at != len(data):
        raise refusal(where, f"binary_data_size is {len(data)}, but the texts have {at} bytes")
    return texts
