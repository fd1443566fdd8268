"""Clients that others wrote for the Open Inference Protocol, against a server process."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from open_inference.openapi import BadRequestError, InferenceRequest, RequestInput, RequestOutput
from open_inference.openapi.client import OpenInferenceClient
from tritonclient.utils import InferenceServerException

import model
from tests.server import serving

PAGE = Path(__file__).parents[2] / "docs" / "open-inference.md"
SEEDED = {"seed": 1, "passes": 30}
ROWS = [[59.5, 2, 32.5, 101, 157, 93.5, 38, 4, 4.75, 87]] * 40
MOMENTS = ("mean", "variance", "std", "mean_error", "variance_error", "deterministic")


@pytest.fixture(scope="module")
def url(artifacts: dict[str, Path]) -> Iterator[str]:
    """A server of two models of numbers, and two with a category."""
    folders = [*model.shipped(), artifacts["regression"], artifacts["multiclass"]]
    options = [part for folder in folders for part in ("--model", str(folder))]
    with serving(*options) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def openapi(url: str) -> Iterator[OpenInferenceClient]:
    with httpx.Client(timeout=60) as transport:
        yield OpenInferenceClient(base_url=url, httpx_client=transport)


def native(url: str, name: str, rows: list[Any]) -> list[dict[str, Any]]:
    """The predictions of the native route."""
    sent = {"rows": rows, **SEEDED}
    answer = httpx.post(f"{url}/models/{name}/predict", json=sent, timeout=60).json()
    return list(answer["predictions"])


def tensor(name: str, values: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    """An input of tritonclient's."""
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def houses(*, binary: bool) -> list[triton.InferInput]:
    """Two houses, a tensor per feature."""
    return [
        tensor("area", np.array([[54.0], [120.0]]), "FP64", binary=binary),
        tensor("rooms", np.array([2, 5], dtype=np.int64), "INT64", binary=binary),
        tensor("quarter", np.array([["east"], ["south"]], dtype=object), "BYTES", binary=binary),
    ]


def test_tritonclient_reads_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"][0] == "binary_tensor_data"
    described = client.get_model_metadata("diabetes")
    [version] = described["versions"]
    assert client.get_model_metadata("diabetes", version) == described
    assert client.is_model_ready("diabetes")
    assert client.is_model_ready("diabetes", version)
    assert not client.is_model_ready("diabetes", "1")
    assert not client.is_model_ready("nobody")


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize(
    ("datatype", "dtype", "binary"),
    [
        ("FP64", np.float64, True),
        ("FP64", np.float64, False),
        ("FP32", np.float32, True),
        ("FP32", np.float32, False),
        ("FP16", np.float16, True),
    ],
)
def test_tritonclient_gets_the_numbers_of_the_native_route(
    url: str,
    client: triton.InferenceServerClient,
    compression: str | None,
    datatype: str,
    dtype: type,
    binary: bool,
) -> None:
    result = client.infer(
        "diabetes",
        [tensor("input", np.array(ROWS, dtype=dtype), datatype, binary=binary)],
        request_id="a",
        timeout=30_000_000,
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
        parameters=SEEDED,
    )
    assert result.get_response()["id"] == "a"
    rows = np.array(ROWS, dtype=dtype).tolist()
    expected = native(url, "diabetes", rows)
    for name in MOMENTS:
        assert result.as_numpy(name).tolist() == [each[name] for each in expected]
    assert result.as_numpy("samples") is None


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_answer", [True, False])
def test_tritonclient_sends_texts_and_asks_for_outputs(
    url: str, client: triton.InferenceServerClient, binary: bool, binary_answer: bool
) -> None:
    """With samples, torch computes, not the kernel: seeded numbers are the same to rounding."""
    names = ("label", "mean", "mutual_information", "samples", "warnings", "passes")
    result = client.infer(
        "multiclass",
        houses(binary=binary),
        outputs=[triton.InferRequestedOutput(name, binary_answer) for name in names],
        parameters=SEEDED,
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == list(names)
    first, second = native(url, "multiclass", [[54, 2, "east"], [120, 5, "south"]])
    labels = [text.decode() if binary_answer else text for text in result.as_numpy("label")]
    assert labels == [first["label"], second["label"]]
    means = [list(each["mean"].values()) for each in (first, second)]
    assert result.as_numpy("mean") == pytest.approx(np.array(means), rel=1e-5)
    information = [first["mutual_information"], second["mutual_information"]]
    assert result.as_numpy("mutual_information") == pytest.approx(information, rel=1e-4)
    assert result.as_numpy("samples").shape == (2, 30, 3)
    assert result.as_numpy("passes").tolist() == [30, 30]


def test_tritonclient_mixes_binary_and_json_tensors(
    url: str, client: triton.InferenceServerClient
) -> None:
    area, rooms, _ = houses(binary=True)
    _, _, quarter = houses(binary=False)
    result = client.infer("regression", [area, quarter, rooms], parameters=SEEDED)
    expected = native(url, "regression", [[54, 2, "east"], [120, 5, "south"]])
    assert result.as_numpy("mean").tolist() == [each["mean"] for each in expected]


def test_tritonclient_takes_one_version(client: triton.InferenceServerClient) -> None:
    [version] = client.get_model_metadata("regression")["versions"]
    result = client.infer("regression", houses(binary=True), model_version=version)
    assert result.get_response()["model_version"] == version


def test_tritonclient_raises_the_sentence_of_an_error(
    client: triton.InferenceServerClient,
) -> None:
    rows = tensor("input", np.full((1, 10), np.nan), "FP64", binary=False)
    for inputs, name, status, word in (
        ([rows], "diabetes", "400", "NaN"),
        (houses(binary=True), "diabetes", "400", "'age' is missing"),
        (houses(binary=True), "nobody", "404", "there is no model 'nobody'"),
    ):
        with pytest.raises(InferenceServerException, match=word) as caught:
            client.infer(name, inputs)
        assert caught.value.status() == status


def test_open_inference_openapi_reads_and_infers(url: str, openapi: OpenInferenceClient) -> None:
    openapi.check_server_liveness()
    openapi.check_server_readiness()
    openapi.check_model_readiness("digits")
    assert openapi.read_server_metadata().name == "mc-dropout-service"
    for name in ("diabetes", "breast-cancer", "digits", "regression", "multiclass"):
        described = openapi.read_model_metadata(name)
        assert described.outputs
        assert described.versions
        openapi.check_model_version_readiness(name, described.versions[0])
        assert openapi.read_model_version_metadata(name, described.versions[0]) == described
    request = InferenceRequest(
        id="b",
        parameters=SEEDED,
        inputs=[RequestInput(name="input", shape=[40, 10], datatype="FP64", data=ROWS)],
        outputs=[RequestOutput(name="mean"), RequestOutput(name="warnings")],
    )
    answer = openapi.model_infer("diabetes", request=request)
    assert answer.id == "b"
    mean, warnings = answer.outputs
    expected = native(url, "diabetes", ROWS)
    assert mean.data.dict()["__root__"] == [each["mean"] for each in expected]
    assert warnings.shape == [40]


@pytest.mark.parametrize("name", ["regression", "multiclass"])
def test_open_inference_openapi_accepts_every_output_of_every_task(
    openapi: OpenInferenceClient, name: str
) -> None:
    """It refuses a null anywhere."""
    described = openapi.read_model_metadata(name).outputs
    assert described
    columns = {"area": ("FP64", 54.0), "rooms": ("FP32", 2.0), "quarter": ("BYTES", "east")}
    inputs = [
        RequestInput(name=feature, shape=[1, 1], datatype=datatype, data=[[value]])
        for feature, (datatype, value) in columns.items()
    ]
    outputs = [RequestOutput(name=output.name) for output in described]
    request = InferenceRequest(inputs=inputs, outputs=outputs)
    answer = openapi.model_infer(name, request=request)
    assert [output.name for output in answer.outputs] == [output.name for output in described]
    with pytest.raises(BadRequestError) as caught:
        openapi.model_infer(name, request=InferenceRequest(inputs=inputs[:1]))
    assert "'rooms' is missing" in caught.value.body["error"]


def test_the_example_in_the_docs_prints_what_is_shown(url: str) -> None:
    text = PAGE.read_text()
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.S).groups()  # type: ignore[union-attr]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("localhost:8000", url.removeprefix("http://")), {})
    pattern = r"-?\d+\.\d+"
    assert re.sub(pattern, "#", printed.getvalue()) == re.sub(pattern, "#", shown)
    found, expected = (
        [*map(float, re.findall(pattern, each))] for each in (printed.getvalue(), shown)
    )
    assert found == pytest.approx(expected, rel=1e-4)
