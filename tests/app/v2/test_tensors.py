"""Tensors that the v2 routes take, in JSON and as bytes, and those that they refuse."""

import json
import tracemalloc
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import ErrorBody
from tests.app.inference import (
    DTYPES,
    HEADER,
    LIMIT_BYTES,
    NUMBERS,
    arrays,
    infer,
    infer_binary,
    matrix,
    refused,
    same,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def client(limited_v2: httpx.AsyncClient) -> httpx.AsyncClient:
    return limited_v2


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [(f"FP{8 * size}", f"<f{size}") for size in (2, 4, 8)]
    + [(f"INT{8 * size}", f"<i{size}") for size in (1, 2, 4, 8)]
    + [(f"UINT{8 * size}", f"<u{size}") for size in (1, 2, 4, 8)],
)
async def test_any_number_that_a_datatype_holds_is_that_number(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, datatype: str, dtype: str
) -> None:
    rows = [[59, 2, 32, 101, 120, 93, 38, 4, 5, 87]]
    sent = {"rows": rows, "seed": 1}
    expected = (await client.post("/models/diabetes/predict", json=sent)).json()
    body = {"inputs": [matrix(rows, datatype)], "parameters": {"seed": 1}}
    assert same(arrays(await infer(client, "diabetes", body)), expected)
    monkeypatch.setitem(DTYPES, datatype, dtype)
    assert same(arrays((await infer_binary(client, "diabetes", body)).json()), expected)


async def test_a_number_has_the_digits_of_its_datatype_however_it_comes(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]]
    body = {"inputs": [matrix(rows, "FP32")], "parameters": {"seed": 1}}
    rounded = {"rows": np.float32(rows).tolist(), "seed": 1}
    expected = (await client.post("/models/diabetes/predict", json=rounded)).json()
    assert same(arrays(await infer(client, "diabetes", body)), expected)
    monkeypatch.setitem(DTYPES, "FP32", "<f4")
    assert same(arrays((await infer_binary(client, "diabetes", body)).json()), expected)


async def test_a_features_tensor_may_be_flat_and_in_any_order(client: httpx.AsyncClient) -> None:
    columns = [["quarter", "BYTES", ["east"]], ["area", "INT64", [54]], ["rooms", "FP32", [2]]]
    inputs = [
        {"name": name, "shape": [1], "datatype": datatype, "data": data}
        for name, datatype, data in columns
    ]
    answer = await infer(client, "regression", {"inputs": inputs, "parameters": {"seed": 1}})
    row = {"area": 54, "rooms": 2, "quarter": "east"}
    sent = {"rows": [row], "seed": 1}
    assert same(arrays(answer), (await client.post("/models/regression/predict", json=sent)).json())


def row(**change: Any) -> str:
    """A request of one row of ten numbers, changed."""
    tensor = {"name": "input", "shape": [1, 10], "datatype": "FP64", "data": [1.5] * 10}
    return json.dumps({"inputs": [tensor | change]})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": [-1, 10]}, "negative"),
        ({"shape": [-1, -10]}, "negative"),
        ({"shape": [2**62, 4]}, "rows"),
        ({"shape": [4, 2**62]}, "has 18446744073709551616 values"),
        ({"shape": [2, 2**63]}, "values"),
        ({"shape": [2**64, 1]}, "integer"),
        ({"shape": [2**32, 2**32]}, "rows"),
        ({"shape": [50] * 8}, "values"),
        ({"shape": [1] * 9}, "8 items"),
        ({"shape": []}, "dimensions"),
        ({"shape": [1, 10.0]}, "integer"),
        ({"shape": [True, 10]}, "integer"),
        ({"shape": ["1", 10]}, "integer"),
        ({"shape": None}, "must be an array"),
        ({"shape": 10}, "must be an array"),
        ({"shape": [10]}, "expects [rows, 10]"),
        ({"shape": [10, 1]}, "expects [rows, 10]"),
        ({"shape": [1, 1, 10]}, "expects [rows, 10]"),
        ({"shape": [2, 10]}, "has 20 values, but data has 10"),
        ({"shape": [1, 9]}, "has 9 values, but data has 10"),
        ({"shape": [0, 10], "data": []}, "no values"),
        ({"shape": [10, 0], "data": []}, "no values"),
        ({"shape": [0, 2**62], "data": []}, "no values"),
        ({"shape": [51, 10], "data": [1.5] * 510}, "MCD_MAX_ROWS"),
        ({"data": []}, "data has 0"),
        ({"data": [[1.5] * 5, [1.5] * 5]}, "nested as [2, 5]"),
        ({"data": [[1.5] * 9, [1.5]]}, "ragged"),
        ({"data": [[1.5] * 9, 1.5]}, "ragged"),
        ({"data": [1.5] * 9 + [[1.5]]}, "there is an array"),
        ({"data": [[[1.5] * 10]]}, "deeper"),
        ({"data": [[]]}, "nested as [1, 0]"),
        ({"data": [1.5] * 9 + ["1.5"]}, "there is a text"),
        ({"data": [1.5] * 9 + [None]}, "there is null"),
        ({"data": [1.5] * 9 + [True]}, "there is a boolean"),
        ({"data": [1.5] * 9 + [{}]}, "there is an object"),
        ({"data": "1.5"}, "must be an array"),
        ({"data": {"0": 1.5}}, "must be an array"),
        ({"data": None}, "binary_data_size"),
        ({"data": [1e300] * 10}, "too far"),
        ({"datatype": "FP32", "data": [1e39] * 10}, "not a finite number of FP32"),
        ({"datatype": "FP16", "data": [70000] * 10}, "not a finite number of FP16"),
        ({"datatype": "INT64", "data": [1.5] * 10}, "there is a fraction"),
        ({"datatype": "INT8", "data": [128] * 10}, "out of INT8's range"),
        ({"datatype": "UINT64", "data": [-1] * 10}, "out of UINT64's range"),
        ({"datatype": "INT64", "data": [2**63] * 10}, "out of INT64's range"),
        ({"datatype": "BYTES"}, "there is a number"),
        ({"datatype": "BYTES", "data": ["1.5 m"] * 10}, "not a number"),
        ({"datatype": "BOOL", "data": [True] * 10}, "'age' is true, which is not a number"),
        ({"datatype": "TEXT"}, "'TEXT' is not known; known are BOOL, FP16, FP32"),
        ({"datatype": "fp64"}, "not known"),
        ({"datatype": ""}, "not known"),
        ({"datatype": "FP64" * 999}, "not known"),
        ({"datatype": 64}, "string"),
        ({"name": "x"}, "'age' is missing"),
        ({"name": "INPUT"}, "either 'input' or a tensor per feature: age"),
        ({"name": None}, "string"),
        ({"parameters": {"binary_data_size": 80}}, "either data or"),
        ({"parameters": {"binary_data_size": "80"}}, "must be a whole number, not"),
        ({"parameters": {"binary_data_size": True}}, "must be a whole number, not"),
        ({"parameters": []}, "must be an object, not an array"),
    ],
)
async def test_a_wrong_tensor_is_refused_with_what_is_wrong(
    client: httpx.AsyncClient, change: dict[str, Any], word: str
) -> None:
    error = await refused(client, NUMBERS, row(**change))
    assert word in error.error
    assert len(error.error) <= 400


@pytest.mark.parametrize("shape", [[2**62, 4], [4, 2**62], [50, 2**25], [2**25, 1]])
async def test_no_memory_is_taken_for_what_a_shape_only_promises(
    client: httpx.AsyncClient, shape: list[int]
) -> None:
    header, data = binary(shape=shape)
    tracemalloc.start()
    await refused(client, NUMBERS, row(shape=shape))
    await refused(client, NUMBERS, header + data, {HEADER: str(len(header))})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * LIMIT_BYTES


DATA = np.arange(10.0).tobytes()


def binary(size: Any = 80, data: bytes = DATA, **change: Any) -> tuple[bytes, bytes]:
    """A JSON header that announces `size` bytes, and bytes."""
    tensor = {"name": "input", "shape": [1, 10], "datatype": "FP64"} | change
    tensor["parameters"] = {"binary_data_size": size}
    return json.dumps({"inputs": [tensor]}).encode(), data


def texts(*lengths: int) -> bytes:
    """Texts of the letter e with these lengths announced, each with four letters."""
    return b"".join(length.to_bytes(4, "little") + b"eeee" for length in lengths)


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (binary(72), "80 bytes, but binary_data_size is 72"),
        (binary(80, DATA[:72]), "72 bytes of binary data are left"),
        (binary(80, DATA + b"\0"), "1 bytes of binary data belong to no input"),
        (binary(-80), "binary_data_size is -80"),
        (binary(2**62), "80 bytes of binary data are left"),
        (binary(0, b""), "80 bytes, but binary_data_size is 0"),
        (binary(None), "either data or"),
        (binary(shape=[2**62, 4]), "rows"),
        (binary(shape=[4, 2**62]), "values of FP64"),
        (binary(0, b"", shape=[2**62, 0]), "rows"),
        (binary(0, b"", shape=[0, 2**62]), "no values"),
        (binary(shape=[2, 5]), "expects [rows, 10]"),
        (binary(datatype="FP32"), "40 bytes, but binary_data_size is 80"),
        (binary(datatype="X"), "'X' is not known"),
        (binary(data=np.full(10, np.nan).tobytes()), "not a finite number of FP64"),
        (binary(data=np.full(10, np.inf).tobytes()), "not a finite number of FP64"),
        (binary(16, texts(4, 4), datatype="BYTES"), "10 texts do not fit"),
        (binary(80, texts(4, *[0] * 9), datatype="BYTES"), "is longer"),
        (binary(80, texts(*[4] * 9, 5), datatype="BYTES"), "text 9 is longer"),
        (binary(80, texts(*[4] * 9, 2**32 - 1), datatype="BYTES"), "text 9 is longer"),
        (binary(80, texts(*[4] * 9, 3), datatype="BYTES"), "the texts have 79 bytes"),
        (binary(80, texts(*[4] * 10), datatype="BYTES"), "not a number"),
        (binary(80, texts(*[4] * 10).replace(b"e", b"\xff"), datatype="BYTES"), "not UTF-8"),
    ],
)
async def test_binary_data_that_does_not_fit_is_refused(
    client: httpx.AsyncClient, parts: tuple[bytes, bytes], word: str
) -> None:
    header, data = parts
    error = await refused(client, NUMBERS, header + data, {HEADER: str(len(header))})
    assert word in error.error


async def test_a_wrong_length_of_the_json_is_refused(client: httpx.AsyncClient) -> None:
    header, data = binary()
    body, right = header + data, len(header)
    good = await client.post(NUMBERS, content=body, headers={HEADER: str(right)})
    assert good.status_code == 200
    for wrong in ("", "-1", "x", "1e2", "²", str(len(body) + 1), "9" * 5000, f"{right}.0"):
        sent = {HEADER.encode(): wrong.encode()}
        response = await client.post(NUMBERS, content=body, headers=sent)
        error = ErrorBody.model_validate_json(response.content)
        assert (response.status_code, error.details[0].field) == (400, HEADER), wrong
    for wrong in (0, right - 1, right + 1, len(body)):
        assert (await refused(client, NUMBERS, body, {HEADER: str(wrong)})).code == "not_json"
    assert (await refused(client, NUMBERS, body)).code == "not_json"
