"""What the v2 routes refuse, and that whatever is sent has an answer or a reason."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

import model
from app.errors import ErrorBody
from app.main import create_app
from app.settings import Settings
from app.v2_schemas import InferResponse

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 100_000
NUMBERS = "/v2/models/diabetes/infer"  # 10 features
HOUSE = "/v2/models/regression/infer"
HEADER = "inference-header-content-length"


@pytest.fixture(scope="module")
async def client(artifacts: dict[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a server with low limits of a model of 10 numbers and of one with a category."""
    limits = {"max_rows": 50, "max_passes": 400, "max_row_passes": 5000, "max_samples": 1000}
    app = create_app(
        Settings(
            models=(model.shipped()[0], artifacts["regression"]),
            max_body_bytes=LIMIT_BYTES,
            **limits,
        )
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def refused(
    client: httpx.AsyncClient,
    path: str,
    content: bytes | str,
    headers: dict[str, str] | None = None,
    *,
    status: int = 400,
) -> ErrorBody:
    """The error, in the one shape and with an id."""
    response = await client.post(path, content=content, headers=headers)
    assert response.status_code == status, response.text[:400]
    assert response.headers["x-request-id"]
    return ErrorBody.model_validate_json(response.content)


def row(**change: Any) -> str:
    """A request of one row of ten numbers, changed."""
    tensor = {"name": "input", "shape": [1, 10], "datatype": "FP64", "data": [1.5] * 10}
    return json.dumps({"inputs": [tensor | change]})


def house(**columns: Any) -> list[dict[str, Any]]:
    """The inputs of one house, some of them changed or left out (None)."""
    tensors = {
        "area": {"name": "area", "shape": [1], "datatype": "FP64", "data": [54.0]},
        "rooms": {"name": "rooms", "shape": [1], "datatype": "FP64", "data": [2.0]},
        "quarter": {"name": "quarter", "shape": [1], "datatype": "BYTES", "data": ["east"]},
    }
    changed = {name: tensors[name] | (columns.get(name) or {}) for name in tensors}
    return [changed[name] for name in tensors if columns.get(name, {}) is not None]


def request(**rest: Any) -> str:
    return json.dumps({"inputs": house(), **rest})


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
        ({"shape": None}, "list"),
        ({"shape": 10}, "list"),
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
        ({"data": "1.5"}, "list"),
        ({"data": {"0": 1.5}}, "list"),
        ({"data": None}, "binary_data_size"),
        ({"data": [1e300] * 10}, "too far"),
        ({"datatype": "FP32", "data": [1e39] * 10}, "not a finite number of FP32"),
        ({"datatype": "FP16", "data": [70000] * 10}, "not a finite number of FP16"),
        ({"datatype": "INT64", "data": [1.5] * 10}, "there is a fraction"),
        ({"datatype": "INT8", "data": [128] * 10}, "out of INT8's range"),
        ({"datatype": "UINT64", "data": [-1] * 10}, "out of UINT64's range"),
        ({"datatype": "INT64", "data": [2**63] * 10}, "out of INT64's range"),
        ({"datatype": "BYTES"}, "there is a number"),
        ({"datatype": "BYTES", "data": ["1.5"] * 10}, "not a number"),
        ({"datatype": "BOOL", "data": [True] * 10}, "'BOOL' is not known; known are FP16, FP32"),
        ({"datatype": "fp64"}, "not known"),
        ({"datatype": ""}, "not known"),
        ({"datatype": "FP64" * 999}, "not known"),
        ({"datatype": 64}, "string"),
        ({"name": "x"}, "'age' is missing"),
        ({"name": "INPUT"}, "either 'input' or a tensor per feature: age"),
        ({"name": None}, "string"),
        ({"parameters": {"binary_data_size": 80}}, "either data or"),
        ({"parameters": {"binary_data_size": "80"}}, "type int"),
        ({"parameters": {"binary_data_size": True}}, "type int"),
        ({"parameters": []}, "dictionary"),
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


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ([], "'area' is missing"),
        (house(rooms=None), "'rooms' is missing"),
        ([*house(), house()[0]], "'area' is there 2 times"),
        ([*house(), house()[0] | {"name": "more"}], "'more' is not known"),
        ([house()[0] | {"name": "input"}], "a tensor per feature: area, rooms, quarter"),
        ([*house(), house()[0] | {"name": "input"}], "'input' is not known"),
        (house(quarter={"data": ["west"]}), "unknown category 'west'; known: east"),
        (house(quarter={"data": [5]}), "there is a number"),
        (house(quarter={"datatype": "INT8", "data": [5]}), "not a text"),
        (house(area={"datatype": "BYTES", "data": ["54"]}), "not a number"),
        (house(area={"shape": [2], "data": [54, 54]}), "number of rows: [1, 2]"),
        (house(area={"shape": [1, 2], "data": [54, 54]}), "[rows] or [rows, 1]"),
        (house(area={"shape": [1, 1, 2], "data": [54, 54]}), "[rows] or [rows, 1]"),
        (None, "list"),
        ({}, "list"),
        ("area", "list"),
        ([None], "inputs.0"),
        ([[]], "inputs.0"),
        ([{}], "inputs.0.name: is missing"),
        ([{}] * 5000, "4096 items"),
    ],
)
async def test_wrong_inputs_are_refused_with_what_is_wrong(
    client: httpx.AsyncClient, inputs: Any, word: str
) -> None:
    assert word in (await refused(client, HOUSE, json.dumps({"inputs": inputs}))).error


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ({"outputs": [{"name": "median"}]}, "there is no 'median'; there are mean, variance"),
        ({"outputs": [{"name": "mean"}, {"name": "label"}]}, "outputs.1: there is no 'label'"),
        ({"outputs": [{"name": "mean"}] * 2}, "'mean' is there 2 times"),
        ({"outputs": [{}]}, "outputs.0.name"),
        ({"outputs": ["mean"]}, "outputs.0"),
        ({"outputs": "mean"}, "outputs"),
        ({"outputs": [{"name": "mean", "parameters": {"binary_data": 1}}]}, "type bool"),
        ({"outputs": [{"name": "mean", "parameters": {"classification": 2}}]}, "classification"),
        (
            {"outputs": [{"name": "mean", "parameters": {"shared_memory_region": "x"}}]},
            "shared_memory_region",
        ),
        ({"parameters": {"binary_data_output": "yes"}}, "type bool"),
        ({"parameters": {"passes": 1}}, "passes"),
        ({"parameters": {"passes": "7"}}, "passes"),
        ({"parameters": {"passes": None}}, "passes"),
        ({"parameters": {"passes": 401}}, "MCD_MAX_PASSES"),
        ({"parameters": {"passes": 10**18}}, "MCD_MAX_PASSES"),
        ({"parameters": {"seed": -1}}, "seed"),
        ({"parameters": {"seed": 2**63}}, "seed"),
        ({"parameters": {"coverage": 1}}, "coverage"),
        ({"parameters": {"estimator": "best"}}, "estimator"),
        ({"parameters": {"masks": []}}, "masks"),
        ({"parameters": {"tolerance": 0}}, "tolerance"),
        ({"parameters": {"tolerance": 0.1}, "outputs": [{"name": "samples"}]}, "tolerance"),
        ({"parameters": {"timeout": -1}}, "parameters.timeout"),
        ({"parameters": {"timeout": "1"}}, "parameters.timeout"),
        ({"parameters": [1]}, "parameters"),
        ({"id": 7}, "id"),
    ],
)
async def test_wrong_options_and_outputs_are_refused_by_their_name(
    client: httpx.AsyncClient, rest: dict[str, Any], word: str
) -> None:
    assert word in (await refused(client, HOUSE, request(**rest))).error


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"\xef\xbb\xbf" + request().encode(), "not_json"),
        (request().encode("utf-16"), "not_json"),
        (request().encode()[:-1], "not_json"),
        (request().encode() * 2, "not_json"),
        (request().replace('"east"', '"\\ud800"').encode(), "not_json"),
        (request().replace("east", "\xe9").encode("latin-1"), "not_json"),
        (request().replace("54.0", "NaN").encode(), "not_finite"),
        (request().replace("54.0", "-Infinity").encode(), "not_finite"),
        (request().replace("54.0", "1e999").encode(), "not_finite"),
        (b"[" * 90_000, "not_json"),
        (b'{"inputs":' * 9_000, "not_json"),
        (b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", "invalid_request"),
        (request().replace("54.0", "[" * 900 + "]" * 900).encode(), "invalid_request"),
        (b'{"inputs": [], "inputs": []}', "duplicate_key"),
        (request().replace('"shape": [1]', '"shape": [1], "shape": [1]').encode(), "duplicate_key"),
        (b"null", "invalid_request"),
        (b"[]", "invalid_request"),
        (b"7", "invalid_request"),
        (b"{}", "invalid_request"),
    ],
)
async def test_what_is_no_json_request_is_refused(
    client: httpx.AsyncClient, content: bytes, code: str
) -> None:
    assert (await refused(client, HOUSE, content)).code == code


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


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_bomb_is_refused_without_the_memory_it_asks_for(
    client: httpx.AsyncClient, encoding: str, pack: Any
) -> None:
    bomb = pack(b" " * 50_000_000)
    assert len(bomb) < LIMIT_BYTES
    tracemalloc.start()
    error = await refused(client, HOUSE, bomb, {"content-encoding": encoding}, status=413)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "body_too_large"
    assert peak < 10 * LIMIT_BYTES


async def test_a_body_over_the_limit_is_refused_compressed_or_not(
    client: httpx.AsyncClient,
) -> None:
    def padded(size: int) -> bytes:
        return request().encode().ljust(size)

    for encoding, pack in (("identity", bytes), ("gzip", gzip.compress)):
        headers = {"content-encoding": encoding}
        largest = await client.post(HOUSE, content=pack(padded(LIMIT_BYTES)), headers=headers)
        assert largest.status_code == 200
        await refused(client, HOUSE, pack(padded(LIMIT_BYTES + 1)), headers, status=413)
    noise = np.random.default_rng(0).bytes(LIMIT_BYTES)
    await refused(client, HOUSE, gzip.compress(noise), {"content-encoding": "gzip"}, status=413)

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LIMIT_BYTES // 2)

    response = await client.post(HOUSE, content=streamed())  # declares no length
    assert response.status_code == 413


async def test_damaged_compressed_data_is_refused(client: httpx.AsyncClient) -> None:
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        good = pack(request().encode())
        for bad in (b"", good[:-1], good[:20], good + b"\0", good[5:], b"{}", b"\0" * 99):
            error = await refused(client, HOUSE, bad, {"content-encoding": encoding})
            assert error.code == "not_json"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "br"},
        {"content-encoding": "gzip, gzip"},
        {"content-type": "text/csv"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
)
async def test_another_type_or_encoding_is_a_415(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    error = await refused(client, HOUSE, request(), headers, status=415)
    assert error.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nobody",
        "/v2/models/nobody/ready",
        "/v2/models/nobody/versions/1",
        "/v2/models/regression/versions/1",
        "/v2/models/regression/versions/1/ready",
        "/v2/models/%ff%00/versions/%ff",
        "/v2/models/nobody/infer",
        "/v2/models/regression/versions/1/infer",
        "/v2/models/" + "x" * 5000 + "/infer",
    ],
)
async def test_an_unknown_model_or_version_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    method = "POST" if path.endswith("infer") else "GET"
    response = await client.request(method, path, content=b"not read")
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (404, "unknown_model")
    assert "version" in error.error or "regression" not in path


@pytest.mark.parametrize(
    "path", ["/v3", "/v2/model", "/v2/models/regression/", "/v2/models/regression/infer/"]
)
async def test_an_unknown_path_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        response = await client.request(method, path)
        error = ErrorBody.model_validate_json(response.content)
        assert (response.status_code, error.code) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/", "/v2/models/regression", "/v2/models/regression/ready", HOUSE]
)
async def test_a_wrong_method_is_a_405(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "BREW"):
        if (method == "POST") is (path == HOUSE) and method in ("GET", "POST"):
            continue
        response = await client.request(method, path, content=b"{")
        error = ErrorBody.model_validate_json(response.content)
        assert (response.status_code, error.code) == (405, "method_not_allowed")


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
values = st.recursive(cells, lambda each: st.lists(each, max_size=4), max_leaves=12)
dimensions = st.integers(-1, 4) | st.sampled_from([10, 2**31, 2**62, 2**63, 2**64]) | cells
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["input", "area", "rooms", "quarter"]) | cells,
        "shape": st.lists(dimensions, max_size=4) | st.just([1]) | values,
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "INT8", "UINT64", "BYTES", "X"]),
    },
    optional={
        "data": values | st.lists(st.floats(0, 9), min_size=1, max_size=4) | st.just(["east"]),
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 90) | cells),
    },
)
bodies = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=4) | st.builds(house, area=tensors) | values},
    optional={
        "id": cells,
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["mean", "samples", "x"]) | cells}),
            max_size=3,
        )
        | values,
        "parameters": st.dictionaries(
            st.sampled_from(["passes", "seed", "masks", "timeout", "binary_data_output"]), values
        )
        | values,
        "more": values,
    },
)
headers = st.none() | st.integers(-3, 3) | st.text("0123456789-+.eE²", max_size=6)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(bodies, st.binary(max_size=90), headers, st.integers(0, 3))
async def test_any_body_has_an_answer_or_an_error_in_the_one_shape(
    client: httpx.AsyncClient, body: Any, data: bytes, header: Any, damage: int
) -> None:
    sent = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    content = (sent[: len(sent) // 2] + data[:damage] + sent[len(sent) // 2 :]) + data
    length = str(len(sent) + damage + header) if isinstance(header, int) else header
    named = {} if length is None else {HEADER.encode(): length.encode()}
    for path in (HOUSE, NUMBERS):
        response = await client.post(path, content=content, headers=named)
        if response.status_code == 200:
            at = int(response.headers.get(HEADER, len(response.content)))
            InferResponse.model_validate_json(response.content[:at])
        else:
            assert response.status_code == 400
            ErrorBody.model_validate_json(response.content)


async def test_a_client_waits_no_longer_than_its_timeout(client: httpx.AsyncClient) -> None:
    for microseconds in (1, 50):
        body = request(parameters={"timeout": microseconds, "passes": 400})
        error = await refused(client, HOUSE, body, status=504)
        assert error.code == "deadline_exceeded"
    for microseconds in (0, 30_000_000, 10**18):
        body = request(parameters={"timeout": microseconds})
        assert (await client.post(HOUSE, content=body)).status_code == 200
    body = request(parameters={"timeout": 30_000_000})
    short, wrong = {"x-request-timeout-seconds": "1e-5"}, {"x-request-timeout-seconds": "soon"}
    await refused(client, HOUSE, body, short, status=504)
    await refused(client, HOUSE, body, wrong)


async def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_server(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "headers": [], "query_string": b""}
    async with app.router.lifespan_context(app):
        path = {"method": "POST", "path": HOUSE, "raw_path": HOUSE.encode()}
        await app({**scope, **path}, receive, send)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            text = (await client.get("/metrics")).text
    assert sent[0]["status"] == 400
    assert 'mcd_requests_total{model="regression",outcome="cancelled"} 1.0' in text


async def test_bad_requests_do_not_disturb_the_good_ones_after_them(
    client: httpx.AsyncClient,
) -> None:
    good = request(parameters={"seed": 3})
    contents = []
    for bad in (b"[", request(outputs=[{"name": "x"}]), good.replace("54.0", "NaN")):
        await refused(client, HOUSE, bad)
        contents.append((await client.post(HOUSE, content=good)).json()["outputs"])
    assert contents[0] == contents[1] == contents[2]
