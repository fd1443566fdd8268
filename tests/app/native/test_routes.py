import json
from pathlib import Path

import httpx
import numpy as np
import pytest

import model
from app.native.schemas import ModelList, PredictResponse

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


async def test_an_answer_holds_what_the_model_predicts(
    client: httpx.AsyncClient, artifacts: dict[str, Path]
) -> None:
    rows = [HOUSE, {"quarter": "north", "rooms": 5, "area": 300}]
    answer = (await client.post("/predict", json={"rows": rows, "seed": 7, "passes": 20})).json()
    predictor = model.load(artifacts["regression"])
    expected = predictor.predict(rows, model.PredictOptions(seed=7, passes=20))
    assert answer["model"] == {"name": "regression", "version": predictor.card.version}
    assert answer["task"] == "regression"
    assert (answer["passes"], answer["stopped"], answer["seed"]) == (20, "passes", 7)
    assert (answer["estimator"], answer["masks"]) == (expected.estimator, expected.masks)
    for got, row in zip(answer["predictions"], expected.rows, strict=True):
        assert isinstance(row, model.RegressionPrediction)
        for field in ("mean", "variance", "std", "mean_error", "variance_error", "deterministic"):
            assert got[field] == pytest.approx(getattr(row, field), rel=1e-5)
        assert got["interval"]["coverage"] == 0.9
        assert got["interval"]["lower"] == pytest.approx(row.interval.lower, rel=1e-5)
        assert got["warnings"] == list(row.warnings)
    assert "outside_training_range:area" in answer["predictions"][1]["warnings"]


async def test_the_seed_of_an_answer_repeats_it(client: httpx.AsyncClient) -> None:
    first = (await client.post("/predict", json={"rows": [HOUSE]})).json()
    other = (await client.post("/predict", json={"rows": [HOUSE]})).json()
    again = (await client.post("/predict", json={"rows": [HOUSE], "seed": first["seed"]})).json()
    assert again == first
    assert other["seed"] != first["seed"]
    assert other["predictions"][0]["mean"] != first["predictions"][0]["mean"]


async def test_arrays_in_card_order_are_the_same_as_objects(client: httpx.AsyncClient) -> None:
    objects = await client.post("/predict", json={"rows": [HOUSE], "seed": 1})
    arrays = await client.post("/predict", json={"rows": [[54.0, 2.0, "east"]], "seed": 1})
    assert arrays.json() == objects.json()


@pytest.mark.parametrize("samples", [False, True])
@pytest.mark.parametrize("name", ["regression", "two_targets", "binary", "multiclass"])
async def test_every_task_answers_what_the_documented_schema_says(
    client: httpx.AsyncClient, name: str, samples: bool
) -> None:
    response = await client.post(
        f"/models/{name}/predict", json={"rows": [HOUSE] * 3, "passes": 4, "samples": samples}
    )
    assert response.status_code == 200
    answer = PredictResponse.model_validate_json(response.content)
    assert answer.model.name == name
    assert len(answer.predictions) == 3
    for prediction in response.json()["predictions"]:
        assert ("samples" in prediction) is samples
        if samples:
            assert len(prediction["samples"]) == 4


async def test_samples_have_the_mean_and_variance_that_are_reported(
    client: httpx.AsyncClient,
) -> None:
    sent = {"rows": [HOUSE], "passes": 50, "samples": True, "estimator": "plain"}
    [prediction] = (await client.post("/predict", json=sent)).json()["predictions"]
    assert np.mean(prediction["samples"]) == pytest.approx(prediction["mean"], rel=1e-5)
    assert np.var(prediction["samples"], ddof=1) == pytest.approx(prediction["variance"], rel=1e-4)


async def test_an_answer_is_json_with_a_request_id(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", json={"rows": [HOUSE]})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


async def test_models_are_listed_and_described(
    client: httpx.AsyncClient, artifacts: dict[str, Path]
) -> None:
    listed = ModelList.model_validate_json((await client.get("/models")).content)
    assert [entry.name for entry in listed.models] == [
        "regression",
        "two_targets",
        "binary",
        "multiclass",
    ]
    assert [entry.default for entry in listed.models] == [True, False, False, False]
    assert listed.default == "regression"
    for entry in listed.models:
        card = (await client.get(f"/models/{entry.name}")).json()
        assert (card["name"], card["version"]) == (entry.name, entry.version)
        assert card["task"] == entry.task
    card = (await client.get("/models/regression")).json()
    predictor = model.load(artifacts["regression"])
    expected = {**predictor.card.public(), "example": predictor.example()}
    assert card == json.loads(json.dumps(expected))
    asked = {"rows": [card["example"]]}
    answer = (await client.post("/models/regression/predict", json=asked)).json()
    assert answer["predictions"][0]["warnings"] == []
    kinds = {feature["name"]: feature["kind"] for feature in card["features"]}
    assert kinds == {"area": "numeric", "rooms": "numeric", "quarter": "categorical"}


async def test_options_that_are_null_are_the_models_own(client: httpx.AsyncClient) -> None:
    left_out = {"rows": [HOUSE], "seed": 3}
    null = left_out | {"passes": None, "estimator": None, "masks": None}
    card = (await client.get("/models/regression")).json()
    said = card["serving"]
    answers = [(await client.post("/predict", json=sent)).json() for sent in (left_out, null)]
    assert answers[0] == answers[1]
    assert {name: answers[0][name] for name in ("passes", "estimator", "masks")} == {
        name: said[name] for name in ("passes", "estimator", "masks")
    }
    assert card["tuning"]["variance_factors"][0] > 0
    assert card["calibration"]["masks"] == "per_row"
