"""What the v2 routes answer; what they refuse is in `test_open_inference_refusals.py`."""

import gzip
import json
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import model
from app import __version__
from app.errors import OutputNotFinite
from app.main import create_app
from app.service import Answer
from app.settings import Settings
from app.v2 import encode
from app.v2_schemas import InferResponse, ModelMetadata

pytestmark = pytest.mark.anyio

MODELS = ("diabetes", "digits", "regression", "two_targets", "binary", "multiclass")
MOMENTS = ("mean", "variance", "std", "mean_error", "variance_error", "deterministic")
HOUSES = [[54.0, 2.0, "east"], [300.0, 5.0, "north"], [120.5, 3.0, "south"]]
BINARY = "inference-header-content-length"
DTYPES = {"FP64": "<f8", "INT64": "<i8"}


@pytest.fixture(scope="module")
async def client(artifacts: dict[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a server of two shipped models, all of numbers, and of the tiny ones with a category."""
    shipped = (folder for folder in model.shipped() if folder.name in MODELS)
    app = create_app(Settings(models=(*shipped, *artifacts.values())))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


def predictor(name: str, artifacts: dict[str, Path]) -> model.Predictor:
    folders = {folder.name: folder for folder in model.shipped()} | artifacts
    return model.load(folders[name])


def some_rows(card: model.Card) -> list[list[Any]]:
    """Three rows that a model accepts."""
    if card.name not in ("diabetes", "digits"):
        return HOUSES
    names = [feature.name for feature in card.features]
    middle = np.array([feature.mean for feature in card.features if feature.kind == "numeric"])
    return (middle * np.linspace(0.9, 1.1, 3)[:, None] + np.arange(len(names)) / 7).tolist()


def by_feature(card: model.Card, rows: list[list[Any]]) -> list[dict[str, Any]]:
    """One tensor per feature."""
    columns = zip(*rows, strict=True)
    return [
        {
            "name": feature.name,
            "shape": [len(rows), 1],
            "datatype": "BYTES" if feature.kind == "categorical" else "FP64",
            "data": list(column),
        }
        for feature, column in zip(card.features, columns, strict=True)
    ]


def matrix(rows: list[list[float]], datatype: str = "FP64") -> dict[str, Any]:
    """The one tensor of all features."""
    shape = [len(rows), len(rows[0])]
    return {"name": "input", "shape": shape, "datatype": datatype, "data": rows}


def packed(tensor: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A tensor without its data, and the data in binary form."""
    values = np.array(tensor["data"]).ravel()
    if tensor["datatype"] == "BYTES":
        texts = [str(text).encode() for text in values]
        data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    else:
        data = values.astype(DTYPES[tensor["datatype"]]).tobytes()
    rest = {key: value for key, value in tensor.items() if key != "data"}
    return rest | {"parameters": {"binary_data_size": len(data)}}, data


async def infer(client: httpx.AsyncClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer, checked against the documented schema."""
    response = await client.post(f"/v2/models/{name}/infer", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    InferResponse.model_validate_json(response.content)
    return response.json()


async def infer_binary(
    client: httpx.AsyncClient, name: str, body: dict[str, Any]
) -> httpx.Response:
    """The answer to the same request with every tensor in binary form."""
    tensors = [packed(tensor) for tensor in body["inputs"]]
    header = json.dumps(body | {"inputs": [tensor for tensor, _ in tensors]}).encode()
    content = header + b"".join(data for _, data in tensors)
    headers = {BINARY: str(len(header))}
    response = await client.post(f"/v2/models/{name}/infer", content=content, headers=headers)
    assert response.status_code == 200, response.text
    return response


def arrays(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    """The outputs of a JSON answer by name."""
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in answer["outputs"]
    }


def unpacked(response: httpx.Response) -> dict[str, np.ndarray]:
    """The outputs of a binary answer by name."""
    assert response.headers["content-type"] == "application/octet-stream"
    at = int(response.headers[BINARY])
    found = {}
    for output in json.loads(response.content[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        data, at = response.content[at : at + size], at + size
        if output["datatype"] == "BYTES":
            texts, start = [], 0
            while start < len(data):
                end = start + 4 + int.from_bytes(data[start : start + 4], "little")
                texts.append(data[start + 4 : end].decode())
                start = end
            values = np.array(texts)
        else:
            values = np.frombuffer(data, DTYPES[output["datatype"]])
        found[output["name"]] = values.reshape(output["shape"])
    assert at == len(response.content)
    return found


def numbers(value: Any) -> Any:
    """A native value without its keys."""
    if isinstance(value, dict):
        return list(value.values())
    return [numbers(each) for each in value] if isinstance(value, list) else value


def native(prediction: dict[str, Any], name: str) -> Any:
    """What a native prediction says where v2 has the output `name`."""
    if name.startswith("interval_"):
        return numbers(prediction["interval"][name.removeprefix("interval_")])
    return numbers(prediction[name])


def same(outputs: dict[str, np.ndarray], answer: dict[str, Any]) -> bool:
    """Whether the outputs are, to the last bit, what a native answer holds."""
    predictions = answer["predictions"]
    lists = {
        "warnings": [each["warnings"] for each in predictions],
        "label_set": [each.get("label_set", {"labels": None})["labels"] for each in predictions],
    }
    return all(
        list(map(json.loads, values)) == lists[name]
        if name in lists
        else values.tolist() == [native(prediction, name) for prediction in predictions]
        for name, values in outputs.items()
    )


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_server_says_what_it_is(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).json() == {
        "name": "mc-dropout-service",
        "version": __version__,
        "extensions": ["binary_tensor_data", "parameters"],
    }


async def test_a_model_of_numbers_takes_one_tensor_and_any_other_one_per_feature(
    client: httpx.AsyncClient, artifacts: dict[str, Path]
) -> None:
    found = (await client.get("/v2/models/diabetes")).json()
    assert found["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 10]}]
    found = (await client.get("/v2/models/regression")).json()
    assert found["platform"] == "pytorch_mlp"
    assert found["versions"] == [predictor("regression", artifacts).card.version]
    assert found["inputs"] == [
        {"name": "area", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "rooms", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "quarter", "datatype": "BYTES", "shape": [-1, 1]},
    ]


@pytest.mark.parametrize("name", MODELS)
async def test_the_numbers_are_those_of_the_native_route(
    client: httpx.AsyncClient, artifacts: dict[str, Path], name: str
) -> None:
    card = predictor(name, artifacts).card
    rows = some_rows(card)
    sent = {"rows": rows, "seed": 7, "passes": 20, "samples": True}
    expected = (await client.post(f"/models/{name}/predict", json=sent)).json()
    outputs = ModelMetadata.model_validate((await client.get(f"/v2/models/{name}")).json()).outputs
    body = {
        "parameters": {"seed": 7, "passes": 20},
        "outputs": [{"name": output.name} for output in outputs],
        "inputs": by_feature(card, rows),
    }
    answer = await infer(client, name, body)
    assert (answer["model_name"], answer["model_version"]) == (card.name, card.version)
    found = arrays(answer)
    assert list(found) == [output.name for output in outputs]
    assert {"mean", "variance", "std", "samples"} <= found.keys()
    assert same(found, expected)
    body["parameters"]["binary_data_output"] = True
    assert same(unpacked(await infer_binary(client, name, body)), expected)
    if name in ("diabetes", "digits"):
        for data in (rows, np.ravel(rows).tolist()):
            body["inputs"] = [matrix(rows) | {"data": data}]
            assert same(unpacked(await infer_binary(client, name, body)), expected)
            body["parameters"]["binary_data_output"] = False
            assert same(arrays(await infer(client, name, body)), expected)
            body["parameters"]["binary_data_output"] = True


@pytest.mark.parametrize("name", MODELS)
async def test_the_metadata_has_the_datatype_and_the_shape_of_every_output(
    client: httpx.AsyncClient, artifacts: dict[str, Path], name: str
) -> None:
    card = predictor(name, artifacts).card
    described = (await client.get(f"/v2/models/{name}")).json()["outputs"]
    body = {"inputs": by_feature(card, some_rows(card)), "outputs": described}
    answer = await infer(client, name, body | {"parameters": {"passes": 4}})
    values = len(card.target.classes or card.target.names)
    by_value = [values] if values > 1 else []
    for output, wanted in zip(answer["outputs"], described, strict=True):
        assert (output["name"], output["datatype"]) == (wanted["name"], wanted["datatype"])
        assert len(output["shape"]) == len(wanted["shape"])
        for found, size in zip(output["shape"], wanted["shape"], strict=True):
            assert size in (-1, found)
        if output["name"] in MOMENTS:
            assert output["shape"] == [3, *by_value]
        if output["name"] == "samples":
            assert output["shape"] == [3, 4, *by_value]


@pytest.mark.parametrize("prediction", [model.RegressionPrediction, model.ClassificationPrediction])
async def test_every_field_of_a_native_prediction_is_an_output(
    client: httpx.AsyncClient, prediction: type
) -> None:
    name = "regression" if prediction is model.RegressionPrediction else "multiclass"
    outputs = (await client.get(f"/v2/models/{name}")).json()["outputs"]
    found = {output["name"].partition("_lower")[0].partition("_upper")[0] for output in outputs}
    assert found == {field.name for field in fields(prediction)}


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


def house(**rest: Any) -> dict[str, Any]:
    """A request about one house."""
    shape = {"shape": [1, 1]}
    inputs = [
        {"name": "area", "datatype": "FP64", "data": [54.0], **shape},
        {"name": "rooms", "datatype": "FP64", "data": [2.0], **shape},
        {"name": "quarter", "datatype": "BYTES", "data": ["east"], **shape},
    ]
    return {"inputs": inputs, **rest}


async def test_outputs_that_are_asked_for_come_exactly_and_in_order(
    client: httpx.AsyncClient,
) -> None:
    for names in (["std", "mean"], ["samples"], ["interval_upper", "warnings", "variance"]):
        outputs = [{"name": name} for name in names]
        assert list(arrays(await infer(client, "regression", house(outputs=outputs)))) == names
    default = arrays(await infer(client, "regression", house()))
    assert "samples" not in default
    assert list(default)[:2] == ["mean", "variance"]


async def test_each_output_is_binary_where_asked(client: httpx.AsyncClient) -> None:
    asked = [
        {"name": "mean", "parameters": {"binary_data": True}},
        {"name": "std"},
        {"name": "warnings", "parameters": {"binary_data": True}},
        {"name": "variance", "parameters": {"binary_data": False}},
    ]
    for default in (False, True):
        parameters = {"seed": 3, "binary_data_output": default}
        response = await client.post(
            "/v2/models/regression/infer", json=house(outputs=asked, parameters=parameters)
        )
        length = int(response.headers[BINARY])
        mean, std, warnings, variance = json.loads(response.content[:length])["outputs"]
        data = response.content[length:]
        assert mean["parameters"] == {"binary_data_size": 8}
        assert warnings["parameters"] == {"binary_data_size": 6}
        assert ("data" in std, "data" in variance) == (not default, True)
        if default:  # then `std` lies between the two that were asked for in binary form
            assert np.frombuffer(data[8:16])[0] == pytest.approx(math.sqrt(variance["data"][0]))
        assert data[-6:] == b"\x02\0\0\0[]"
        assert len(data) == 14 + 8 * default


@pytest.mark.parametrize(
    "options",
    [
        {"passes": 7},
        {"coverage": 0.5},
        {"estimator": "plain"},
        {"masks": "per_row"},
        {"tolerance": 0.05, "passes": 300},
    ],
)
async def test_the_parameters_take_the_options_of_the_native_route(
    client: httpx.AsyncClient, options: dict[str, Any]
) -> None:
    seeded = options | {"seed": 5}
    sent = {"rows": HOUSES[:1], **seeded}
    expected = (await client.post("/models/regression/predict", json=sent)).json()
    plain = (
        await client.post("/models/regression/predict", json={"rows": HOUSES[:1], "seed": 5})
    ).json()
    assert expected["predictions"] != plain["predictions"]
    answer = await infer(client, "regression", house(parameters=seeded))
    assert same(arrays(answer), expected)
    told = answer["parameters"]
    for name in ("task", "passes", "stopped", "seed", "estimator", "masks"):
        assert told[name] == expected[name]


async def test_the_answer_of_a_classifier_says_why_it_took_another_estimator(
    client: httpx.AsyncClient,
) -> None:
    told = (await infer(client, "binary", house()))["parameters"]
    assert told["estimator"] == "plain"
    assert "estimator" in told["note"]


async def test_the_seed_of_an_answer_repeats_it(client: httpx.AsyncClient) -> None:
    first = await infer(client, "regression", house())
    again = await infer(client, "regression", house(parameters=first["parameters"]))
    other = await infer(client, "regression", house())
    assert again == first
    assert other["outputs"] != first["outputs"]


async def test_an_id_comes_back_and_what_clients_add_is_ignored(client: httpx.AsyncClient) -> None:
    added = {"model_name": "x", "more": None}
    parameters = {"sequence_id": 4, "priority": 1, "timeout": 10**7, "headers": {"a": 1}, "seed": 1}
    answer = await infer(client, "regression", house(id="é 7", parameters=parameters, **added))
    assert answer["id"] == "é 7"
    assert "id" not in await infer(client, "regression", house(parameters=None, outputs=[]))


async def test_a_body_needs_no_content_type(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"content-type": "Application/JSON; charset=utf-8"}):
        response = await client.post(
            "/v2/models/regression/infer", content=json.dumps(house()), headers=headers
        )
        assert response.status_code == 200


async def test_a_request_as_the_kserve_client_sends_it_is_answered(
    client: httpx.AsyncClient,
) -> None:
    """`InferRequest.to_rest` names the model in the body and says octet-stream if binary."""
    tensors = [packed(tensor) for tensor in house()["inputs"]]
    header = json.dumps(
        {"id": "1", "model_name": "regression", "inputs": [tensor for tensor, _ in tensors]}
    ).encode()
    response = await client.post(
        "/v2/models/regression/infer",
        content=header + b"".join(data for _, data in tensors),
        headers={
            "Inference-Header-Content-Length": str(len(header)),
            "content-type": "application/octet-stream",
        },
    )
    assert response.status_code == 200
    assert response.json()["id"] == "1"


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_requests_and_answers_may_be_compressed(
    client: httpx.AsyncClient, encoding: str, pack: Any
) -> None:
    body = house(parameters={"seed": 1}) | {"id": "x" * 600}
    expected = await infer(client, "regression", body)
    response = await client.post(
        "/v2/models/regression/infer",
        content=pack(json.dumps(body).encode()),
        headers={"content-encoding": encoding, "accept-encoding": encoding},
    )
    assert response.headers["content-encoding"] == encoding
    assert int(response.headers["content-length"]) < len(response.content)
    assert response.json() == expected


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("br, GZIP;q=0.5", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0.0", None),
        (",;=,\xff", None),
    ],
)
async def test_an_answer_is_compressed_only_as_the_client_accepts(
    client: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    headers = {b"accept-encoding": accepted.encode("latin-1")}
    response = await client.post(
        "/v2/models/regression/infer", json=house(id="x" * 600), headers=headers
    )
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.json()["id"] == "x" * 600
    small = house(outputs=[{"name": "mean"}])
    response = await client.post("/v2/models/regression/infer", json=small, headers=headers)
    assert "content-encoding" not in response.headers


async def test_a_version_is_the_cards(client: httpx.AsyncClient) -> None:
    model_path = "/v2/models/regression"
    [version] = (await client.get(model_path)).json()["versions"]
    path = f"{model_path}/versions/{version}"
    assert (await client.get(path)).json() == (await client.get(model_path)).json()
    for ready in (f"{model_path}/ready", f"{path}/ready"):
        assert (await client.get(ready)).json() == {"name": "regression", "ready": True}
    body = house(parameters={"seed": 1})
    response = await client.post(f"{path}/infer", json=body)
    assert response.json() == await infer(client, "regression", body)


async def test_predictions_are_counted_with_the_native_ones(artifacts: dict[str, Path]) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        for name, body in (("regression", house()), ("regression", {}), ("nobody", house())):
            await client.post(f"/v2/models/{name}/infer", json=body)
        text = (await client.get("/metrics")).text
    for line in (
        'mcd_requests_total{model="regression",outcome="ok"} 1.0',
        'mcd_requests_total{model="regression",outcome="invalid_request"} 1.0',
        'mcd_requests_total{model="unknown",outcome="unknown_model"} 1.0',
    ):
        assert line in text


async def test_a_model_is_ready_between_start_and_stop(artifacts: dict[str, Path]) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

        async def statuses() -> list[int]:
            responses = [
                await client.get("/v2/models/regression/ready"),
                await client.post("/v2/models/regression/infer", json=house()),
            ]
            for response in responses:
                if response.status_code != 200:
                    assert response.headers["retry-after"]
                    assert response.json()["code"] == "not_ready"
            return [response.status_code for response in responses]

        assert await statuses() == [503, 503]
        assert (await client.get("/v2/models/regression")).status_code == 503
        assert (await client.get("/v2")).status_code == 200
        async with app.router.lifespan_context(app):
            assert await statuses() == [200, 200]
        assert await statuses() == [503, 503]


def test_an_output_that_is_not_finite_is_an_error(artifacts: dict[str, Path]) -> None:
    loaded = predictor("two_targets", artifacts)
    answer = loaded.predict(HOUSES, model.PredictOptions(seed=1))
    good, bad, last = answer.rows
    spoiled = replace(bad, mean={"price": 1.0, "rent": math.nan})  # type: ignore[call-arg]
    rows = (good, spoiled, last)
    for binary in (False, True):
        with pytest.raises(OutputNotFinite, match=r"^rows\.1: "):
            encode(Answer(loaded.card, replace(answer, rows=rows)), {"mean": binary}, None)  # type: ignore[arg-type]
