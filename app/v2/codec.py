"""Translate between the Open Inference Protocol and rows, options and predictions.

A model whose features are all numbers takes one tensor `input`, [rows, features] in the order of
its card. Every model also takes one tensor per feature, [rows] or [rows, 1]. A value that the model
fills in may be null, NaN or an empty text, and its tensor may be absent. Where a field of a
native prediction is a number, the output has one number per row. Where the field is an object, the
output has several numbers per row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any
from unicodedata import normalize

import numpy as np
from pydantic import ValidationError

from app.errors import MAX_DETAILS, InvalidRequest, LimitExceeded
from app.http import BLOCK_NUMBERS
from app.json import to_json
from app.messages import expected, nearest, quoted, shown
from app.service import Answer, OptionFields
from app.v2.schemas import InferRequest, ModelMetadata, Tensor
from app.v2.tensors import BYTES, from_bytes, from_json, refusal, to_bytes
from model import (
    COVARIANCE_CLASSES,
    Card,
    ClassificationPrediction,
    Columns,
    Detail,
    FieldKind,
    PredictOptions,
    RegressionPrediction,
    field_infos,
)

INPUT = "input"
PLATFORM = "pytorch_mlp"
BINARY = "binary_data_size"
ACCEPT = "accept"  # this output needs the parameter largest_error

_OPTIONS = OptionFields.model_fields.keys() - {"samples"}
_INTERVAL = {"interval_lower": "lower", "interval_upper": "upper"}
# Datatype and shape of an output by the kind of its field; targets or classes add a dimension.
_TENSORS: dict[FieldKind, tuple[str, list[int]]] = {
    "values": ("FP64", [-1]),
    "samples": ("FP64", [-1, -1]),
    "number": ("FP64", [-1]),
    "count": ("INT64", [-1]),
    "flag": ("BOOL", [-1]),
    "class": (BYTES, [-1]),
    "codes": (BYTES, [-1]),
    "region": (BYTES, [-1]),
}
_UNSUPPORTED = ("classification", "shared_memory_region")  # they would change the answer


def metadata(card: Card, versions: Sequence[str]) -> ModelMetadata:
    """The inputs and outputs of the model, and all its versions that are served."""
    names, texts = _features(card)
    if texts:
        inputs = [
            Tensor(name=name, datatype=BYTES if name in texts else "FP64", shape=[-1, 1])
            for name in names
        ]
    else:
        inputs = [Tensor(name=INPUT, datatype="FP64", shape=[-1, len(names)])]
    return ModelMetadata(
        name=card.name,
        versions=list(versions),
        platform=PLATFORM,
        inputs=inputs,
        # Clients ask for every output in the list, and ACCEPT would need a parameter.
        outputs=[tensor for name, tensor in _outputs(card).items() if name != ACCEPT],
    )


def checked(document: Any) -> InferRequest:
    """The request; raises InvalidRequest for a missing field or one of the wrong type."""
    try:
        return InferRequest.model_validate(document)
    except ValidationError as error:
        raise _invalid(error, "body") from None


def options(request: InferRequest) -> PredictOptions:
    """The options in the request's parameters, with samples if `outputs` has them."""
    given = {name: value for name, value in (request.parameters or {}).items() if name in _OPTIONS}
    samples = any(output.name == "samples" for output in request.outputs or ())
    if samples and given.get("tolerance") is not None:
        raise refusal(
            "outputs", "with tolerance, rows differ in their number of samples; omit one of both"
        )
    try:
        sent = OptionFields.model_validate({**given, "samples": samples})
    except ValidationError as error:
        raise _invalid(error, "parameters") from None
    return sent.options()


def timeout_seconds(request: InferRequest) -> float | None:
    """The client's limit in seconds, from Triton's microseconds; None without a limit."""
    microseconds = request.parameter("timeout", int) or 0
    if microseconds < 0:
        raise refusal("parameters.timeout", f"is in microseconds, 0 for none, not {microseconds}")
    return microseconds / 1e6 or None


def rows(
    request: InferRequest, binary: bytes, card: Card, *, max_rows: int
) -> list[Any] | np.ndarray:
    """The rows in the card's order; `binary` is the data after the JSON in the body."""
    _check_unique([tensor.name for tensor in request.inputs], "inputs")
    gaps = any(feature.fill is not None for feature in card.features)
    arrays, at = {}, 0
    for number, tensor in enumerate(request.inputs):
        where = f"inputs.{number}"
        if tensor.shape and tensor.shape[0] > max_rows:
            message = f"{tensor.shape[0]} rows are more than {max_rows} (MCD_MAX_ROWS)"
            raise LimitExceeded(message, [Detail(where, message)])
        size = tensor.parameter(BINARY, int, where)
        if (size is None) is (tensor.data is None):
            raise refusal(where, f"must have either data or the parameter {BINARY}")
        if tensor.data is not None:
            arrays[tensor.name] = from_json(
                tensor.data, tensor.datatype, tensor.shape, where, gaps=gaps
            )
            continue
        if not 0 <= size <= len(binary) - at:
            left = f"{len(binary) - at} bytes of binary data are left"
            raise refusal(where, f"{BINARY} is {size}, but {left}")
        part = binary[at : at + size]
        arrays[tensor.name] = from_bytes(part, tensor.datatype, tensor.shape, where, gaps=gaps)
        at += size
    if at != len(binary):
        raise refusal("inputs", f"{len(binary) - at} bytes of binary data belong to no input")
    return _rows(arrays, card)


def wanted(request: InferRequest, card: Card) -> dict[str, bool]:
    """The outputs to answer, in order, and whether each has the binary form."""
    known = _outputs(card)
    default = request.parameter("binary_data_output", bool) or False
    if not request.outputs:
        left_out = {"samples"} if _abstains(request) else {"samples", ACCEPT}
        return {name: default for name in known if name not in left_out}
    _check_unique([output.name for output in request.outputs], "outputs")
    asked = {}
    for number, output in enumerate(request.outputs):
        where = f"outputs.{number}"
        if output.name not in known:
            raise refusal(where, f"{_unknown(output.name, known)}; there are {', '.join(known)}")
        if output.name == ACCEPT and not _abstains(request):
            raise refusal(where, f"{ACCEPT!r} needs the parameter largest_error")
        for name in _UNSUPPORTED:
            if name in (output.parameters or {}):
                raise refusal(where, f"the parameter {name} is not supported")
        binary = output.parameter("binary_data", bool, where)
        asked[output.name] = default if binary is None else binary
    return asked


def encode(
    answer: Answer, outputs: dict[str, bool], request_id: str | None
) -> tuple[Iterator[bytes], list[bytes]]:
    """The answer's JSON in pieces of a few milliseconds' work, and the binary data after it."""
    known, rows = _outputs(answer.card), answer.predictions.rows
    arrays = {name: _values(rows, name) for name in outputs}
    binary = {name: to_bytes(arrays[name]) for name, wanted in outputs.items() if wanted}
    entries: list[dict[str, Any]] = [
        {
            "name": name,
            "datatype": known[name].datatype,
            "shape": list(array.shape),
            **({"parameters": {BINARY: len(binary[name])}} if name in binary else {}),
        }
        for name, array in arrays.items()
    ]
    document = {
        "model_name": answer.card.name,
        "model_version": answer.card.version,
        **({} if request_id is None else {"id": request_id}),
        "parameters": _reproduction(answer),
    }
    data = [None if name in binary else array.ravel() for name, array in arrays.items()]
    return _pieces(document, entries, data), list(binary.values())


def _pieces(
    document: dict[str, Any], entries: list[dict[str, Any]], data: list[np.ndarray | None]
) -> Iterator[bytes]:
    """The document with all outputs; `data` has the flat values of those that are not binary."""
    if sum(values.size for values in data if values is not None) <= BLOCK_NUMBERS:
        for entry, values in zip(entries, data, strict=True):
            if values is not None:
                entry["data"] = values.tolist()
        yield to_json({**document, "outputs": entries})
        return
    before = to_json({**document, "outputs": []})[:-2]
    for entry, values in zip(entries, data, strict=True):
        yield before + to_json(entry)[:-1]
        if values is not None:
            yield b',"data":['
            for start in range(0, values.size, BLOCK_NUMBERS):
                block = to_json(values[start : start + BLOCK_NUMBERS].tolist())[1:-1]
                yield b"," * (start > 0) + block
            yield b"]"
        before = b"},"
    yield b"}]}"


def _features(card: Card) -> tuple[list[str], set[str]]:
    """The names of all features, and the names of the categorical features."""
    texts = {feature.name for feature in card.features if feature.kind == "categorical"}
    return [feature.name for feature in card.features], texts


def _rows(arrays: dict[str, np.ndarray], card: Card) -> list[Any] | np.ndarray:
    names, texts = _features(card)
    if arrays.keys() == {INPUT} != set(names):
        array = arrays[INPUT]
        if texts:
            raise refusal("inputs", f"the model takes a tensor per feature: {', '.join(names)}")
        if array.ndim != 2 or array.shape[1] != len(names):
            message = f"the shape is {list(array.shape)}; the model expects [rows, {len(names)}]"
            raise refusal("inputs.0", f"{message}: {', '.join(names)}")
        return array
    own = {normalize("NFC", name): name for name in names}
    arrays = {own.get(normalize("NFC", name), name): array for name, array in arrays.items()}
    filled = {feature.name for feature in card.features if feature.fill is not None}
    if not arrays or not set(names) - filled <= arrays.keys() <= set(names):
        new = islice((name for name in arrays if name not in names), MAX_DETAILS)
        likes = {name: nearest(name, names) for name in new}
        wrong = [f"{quoted(name)} is not known{like}" for name, like in likes.items() if like]
        wrong += [f"{quoted(name)} is missing" for name in names if name not in {*arrays, *filled}]
        wrong += [f"{quoted(name)} is not known" for name in likes]
        wrong += ["there is no tensor"]
        either = "" if texts else f"either {INPUT!r} or "
        expected = f"the model takes {either}a tensor per feature: {', '.join(names)}"
        raise refusal("inputs", f"{wrong[0]}; {expected}")
    counts = {array.shape[0] for array in arrays.values()}
    if len(counts) > 1:
        raise refusal("inputs", f"the tensors differ in their number of rows: {sorted(counts)}")
    for number, array in enumerate(arrays.values()):
        if array.size != array.shape[0]:
            message = f"the shape of a feature is [rows] or [rows, 1], not {list(array.shape)}"
            raise refusal(f"inputs.{number}", message)
    (count,) = counts
    gaps = np.full(count, None)
    return list(zip(*(arrays.get(name, gaps).ravel().tolist() for name in names), strict=True))


def _outputs(card: Card) -> Mapping[str, Tensor]:
    """The outputs of a model by name: the fields of a native prediction, in their order."""
    target = card.target
    count = len(target.classes or target.names)
    unknown = {"mutual_information_error"} if count > COVARIANCE_CLASSES else set()
    single = card.architecture.members == 1
    unknown |= {"member_variance", "member_variance_error"} if single else set()
    unknown |= set() if card.similarity else {"distance", "distance_p_value"}
    unknown |= set() if card.calibration and card.calibration.spreads else {"spread_p_value"}
    unknown |= set() if card.calibration and card.calibration.abstention else {ACCEPT}
    return _outputs_but(frozenset(unknown), count, classifies=bool(target.classes))


@lru_cache(256)
def _outputs_but(unknown: frozenset[str], count: int, *, classifies: bool) -> Mapping[str, Tensor]:
    """The outputs of a model of that many targets or classes, without the unknown ones."""
    values = [count] if count > 1 else []
    found = {}
    kind = ClassificationPrediction if classifies else RegressionPrediction
    for field, info in field_infos(kind).items():
        if field in unknown:
            continue
        for name in _INTERVAL if field == "interval" else (field,):
            of: FieldKind = "values" if name in _INTERVAL else info.about.kind
            datatype, shape = _TENSORS[of]
            shape = [*shape, *values] if of in ("values", "samples") else shape
            found[name] = Tensor(name=name, datatype=datatype, shape=shape)
    return MappingProxyType(found)


def _values(rows: Columns[Any], name: str) -> np.ndarray:
    """An output of all rows; an output of texts is an array of str objects."""
    if name in _INTERVAL:
        return _values(rows.columns["interval"], _INTERVAL[name])
    column = rows.columns[name]
    match field_infos(rows.kind)[name].about.kind:
        case "values":
            return np.asarray(column if rows.names else column[:, 0])
        case "samples":
            return np.stack(column if rows.names else [each[:, 0] for each in column])
        case "class":
            return np.array(rows.names, dtype=object)[column]
        case "codes":
            return _texts([to_json(each).decode() for each in column])
        case "region":
            labels = column.lists()["labels"]
            return _texts([to_json(each).decode() for each in labels])
        case _:
            return np.asarray(column)


def _texts(texts: list[str]) -> np.ndarray:
    return np.array(texts, dtype=object)


def _abstains(request: InferRequest) -> bool:
    return (request.parameters or {}).get("largest_error") is not None


def _reproduction(answer: Answer) -> dict[str, Any]:
    predictions = answer.predictions
    names = ("task", "passes", "stopped", "seed", "estimator", "masks", "note")
    values = {name: getattr(predictions, name) for name in names}
    if predictions.acceptance is not None:
        promised = asdict(predictions.acceptance).items()
        values |= {f"acceptance_{name}": value for name, value in promised}
    return {name: value for name, value in values.items() if value is not None}


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"there is no {quoted(name)}{nearest(name, known)}"


def _check_unique(names: list[str], where: str) -> None:
    if len(set(names)) < len(names):
        ((name, count),) = Counter(names).most_common(1)
        raise refusal(where, f"{name[:80]!r} is there {count} times")


def _invalid(error: ValidationError, where: str) -> InvalidRequest:
    faults = error.errors(include_url=False, include_context=False)
    details = [
        Detail(
            ".".join(map(str, fault["loc"])) or where,
            "is missing"
            if fault["type"] == "missing"
            else f"{expected(fault)}, not {shown(fault['input'])}",
        )
        for fault in faults
    ]
    return InvalidRequest(f"{details[0].field}: {details[0].message}", details)
