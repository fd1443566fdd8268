"""What the v2 routes answer; what they refuse is in `test_open_inference_refusals.py`."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import model
from app import __version__
from app.main import create_app
from app.settings import Settings
from app.v2.schemas import ModelMetadata
from tests.app.inference import (
    HEADER,
    HOUSES,
    arrays,
    by_feature,
    house_request,
    infer,
    infer_binary,
    matrix,
    packed,
    predictor,
    same,
    some_rows,
    unpacked,
)

pytestmark = pytest.mark.anyio

MODELS = ("diabetes", "digits", "regression", "two_targets", "binary", "multiclass")
MOMENTS = ("mean", "variance", "std", "mean_error", "variance_error", "deterministic")


@pytest.fixture(scope="module")
def client(v2: httpx.AsyncClient) -> httpx.AsyncClient:
    return v2


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_server_says_what_it_is(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).json() == {
        "name": "mc-dropout-service",
        "version": __version__,
        "extensions": ["binary_tensor_data", "parameters"],
        "kernel": model.kernel_name(),
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
    outputs = ModelMetadata.model_validate((await client.get(f"/v2/models/{name}")).json()).outputs
    options = {"seed": 7, "passes": 20}
    sent = {"rows": rows, "samples": True, **options}
    expected = (await client.post(f"/models/{name}/predict", json=sent)).json()
    body = {
        "parameters": options,
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
    of_some = {"accept", "member_variance", "member_variance_error"}
    assert found == {field.name for field in fields(prediction)} - of_some


async def test_outputs_that_are_asked_for_come_exactly_and_in_order(
    client: httpx.AsyncClient,
) -> None:
    for names in (["std", "mean"], ["samples"], ["interval_upper", "warnings", "variance"]):
        outputs = [{"name": name} for name in names]
        assert (
            list(arrays(await infer(client, "regression", house_request(outputs=outputs)))) == names
        )
    default = arrays(await infer(client, "regression", house_request()))
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
            "/v2/models/regression/infer", json=house_request(outputs=asked, parameters=parameters)
        )
        length = int(response.headers[HEADER])
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
    answer = await infer(client, "regression", house_request(parameters=seeded))
    assert same(arrays(answer), expected)
    told = answer["parameters"]
    for name in ("task", "passes", "stopped", "seed", "estimator", "masks"):
        assert told[name] == expected[name]


async def test_the_answer_of_a_classifier_says_why_it_took_another_estimator(
    client: httpx.AsyncClient,
) -> None:
    asked = house_request(parameters={"estimator": "reduced"})
    told = (await infer(client, "binary", asked))["parameters"]
    assert told["estimator"] == "plain"
    assert "estimator" in told["note"]
    told = (await infer(client, "binary", house_request()))["parameters"]
    assert told["estimator"] == "plain"
    assert "note" not in told


async def test_the_seed_of_an_answer_repeats_it(client: httpx.AsyncClient) -> None:
    first = await infer(client, "regression", house_request())
    again = await infer(client, "regression", house_request(parameters=first["parameters"]))
    other = await infer(client, "regression", house_request())
    assert again == first
    assert other["outputs"] != first["outputs"]


async def test_an_id_comes_back_and_what_clients_add_is_ignored(client: httpx.AsyncClient) -> None:
    added = {"model_name": "x", "more": None}
    parameters = {"sequence_id": 4, "priority": 1, "timeout": 10**7, "headers": {"a": 1}, "seed": 1}
    answer = await infer(
        client, "regression", house_request(id="é 7", parameters=parameters, **added)
    )
    assert answer["id"] == "é 7"
    assert "id" not in await infer(client, "regression", house_request(parameters=None, outputs=[]))


async def test_a_body_needs_no_content_type(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"content-type": "Application/JSON; charset=utf-8"}):
        response = await client.post(
            "/v2/models/regression/infer", content=json.dumps(house_request()), headers=headers
        )
        assert response.status_code == 200


async def test_a_request_as_the_kserve_client_sends_it_is_answered(
    client: httpx.AsyncClient,
) -> None:
    """`InferRequest.to_rest` names the model in the body and says octet-stream if binary."""
    tensors = [packed(tensor) for tensor in house_request()["inputs"]]
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


async def test_a_version_is_the_cards(client: httpx.AsyncClient) -> None:
    model_path = "/v2/models/regression"
    [version] = (await client.get(model_path)).json()["versions"]
    path = f"{model_path}/versions/{version}"
    assert (await client.get(path)).json() == (await client.get(model_path)).json()
    for ready in (f"{model_path}/ready", f"{path}/ready"):
        assert (await client.get(ready)).json() == {"name": "regression", "ready": True}
    body = house_request(parameters={"seed": 1})
    response = await client.post(f"{path}/infer", json=body)
    assert response.json() == await infer(client, "regression", body)


async def test_predictions_are_counted_with_the_native_ones(artifacts: dict[str, Path]) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        for name, body in (
            ("regression", house_request()),
            ("regression", {}),
            ("nobody", house_request()),
        ):
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
                await client.post("/v2/models/regression/infer", json=house_request()),
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
