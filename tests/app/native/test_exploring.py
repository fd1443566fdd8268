"""The routes that show what a prediction depends on: `/sweep` and `/explain`."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

import model
from app.errors import ErrorBody
from app.native.schemas import ExplainResponse, SweepResponse
from app.settings import Settings
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
TASKS = ["regression", "two_targets", "binary", "multiclass"]
SWEEP = {"row": HOUSE, "feature": "area", "points": 5, "passes": 20, "seed": 3}
EXPLAIN = {"row": HOUSE, "passes": 20, "seed": 3, "background_rows": 3}


async def answered(client: httpx.AsyncClient, path: str, sent: Any, **headers: str) -> Any:
    response = await client.post(path, json=sent, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("feature", ["area", "quarter"])
async def test_a_sweep_has_the_numbers_of_predict(
    client: httpx.AsyncClient, name: str, feature: str
) -> None:
    swept = await answered(client, f"/models/{name}/sweep", {**SWEEP, "feature": feature})
    rows = [{**HOUSE, feature: value} for value in swept["values"]]
    same = {"rows": rows, "passes": 20, "seed": 3, "masks": "shared"}
    predicted = await answered(client, f"/models/{name}/predict", same)
    assert predicted == {key: value for key, value in swept.items() if key in predicted}
    extra = {"feature", "kind", "training_range", "values", "lines"}
    assert swept.keys() - predicted.keys() == extra


@pytest.mark.parametrize("name", TASKS)
async def test_the_lines_of_a_sweep_are_the_samples_of_predict(
    client: httpx.AsyncClient, name: str
) -> None:
    swept = await answered(client, f"/models/{name}/sweep", {**SWEEP, "lines": 4})
    rows = [{**HOUSE, "area": value} for value in swept["values"]]
    same = {"rows": rows, "passes": 20, "seed": 3, "masks": "shared", "samples": True}
    predicted = await answered(client, f"/models/{name}/predict", same)
    samples = [row["samples"] for row in predicted["predictions"]]
    lines = swept["lines"]
    for point, passes in enumerate(samples):
        for line in range(4):
            if isinstance(lines, dict):
                got = {key: each[line][point] for key, each in lines.items()}
            else:
                got = lines[line][point]
            assert got == pytest.approx(passes[line], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", TASKS)
async def test_answers_are_what_the_documented_schemas_say(
    client: httpx.AsyncClient, name: str
) -> None:
    response = await client.post(f"/models/{name}/sweep", json=SWEEP)
    swept = SweepResponse.model_validate_json(response.content)
    assert len(swept.predictions) == len(swept.values) == 5
    response = await client.post(f"/models/{name}/explain", json=EXPLAIN)
    explained = ExplainResponse.model_validate_json(response.content)
    assert explained.model.name == name


@pytest.mark.parametrize("name", TASKS)
async def test_an_explanation_has_the_numbers_of_the_model(
    client: httpx.AsyncClient, artifacts: dict[str, Path], name: str
) -> None:
    got = await answered(client, f"/models/{name}/explain", EXPLAIN)
    found = model.explain(model.load(artifacts[name]), HOUSE, passes=20, seed=3, background_rows=3)
    assert (got["of"], got["passes"], got["seed"]) == (found.of, 20, 3)
    for field in ("mean", "variance", "std"):
        number = getattr(found, field)
        assert (got[field], got[f"{field}_error"]) == (number.value, number.error)
    for mine, layer in zip(got["layers"], found.layers, strict=True):
        assert (mine["layer"], mine["rate"]) == (layer.layer, layer.rate)
        assert (mine["variance"], mine["error"]) == (layer.variance.value, layer.variance.error)
        assert (mine["alone"], mine["total"]) == (layer.alone.value, layer.total.value)
    assert found.features is not None
    assert found.background is not None
    for one, feature in zip(got["features"], found.features, strict=True):
        assert one == {
            "feature": feature.feature,
            "value": feature.value,
            "std": pytest.approx(feature.std.value, rel=1e-6, abs=1e-9),
            "error": pytest.approx(feature.std.error, rel=1e-6, abs=1e-9),
        }
    assert got["background"]["rows"] == found.background.rows == 3
    assert "note" not in got


async def test_shares_add_up(client: httpx.AsyncClient) -> None:
    got = await answered(client, "/explain", {"row": HOUSE})
    assert sum(layer["variance"] for layer in got["layers"]) == pytest.approx(got["variance"])
    added = sum(feature["std"] for feature in got["features"])
    assert added == pytest.approx(got["std"] - got["background"]["std"], rel=1e-5)
    alone = sum(layer["alone"] for layer in got["layers"])
    assert got["interactions"]["variance"] == pytest.approx(got["variance"] - alone)


async def test_defaults_keep_within_the_limits_of_the_server(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    got = await answered(client, "/explain", {"row": HOUSE})
    rows = 1 + got["background"]["rows"] * 8  # all sets of three features
    work = rows * got["passes"] + 2 ** len(got["layers"]) * (got["passes"] // 2)
    assert 0.8 * settings.max_row_passes < work <= settings.max_row_passes
    many = await answered(client, "/explain", {"row": HOUSE, "background_rows": 200})
    assert many["background"]["rows"] > got["background"]["rows"]


@pytest.mark.parametrize("path", ["/sweep", "/explain"])
async def test_the_seed_of_an_answer_repeats_it(client: httpx.AsyncClient, path: str) -> None:
    sent = {**(SWEEP if path == "/sweep" else EXPLAIN), "seed": None}
    first = await answered(client, path, sent)
    assert await answered(client, path, {**sent, "seed": first["seed"]}) == first
    assert (await answered(client, path, sent))["seed"] != first["seed"]


@pytest.mark.parametrize(
    ("path", "sent", "code", "field"),
    [
        ("/sweep", {}, "invalid_request", "row"),
        ("/sweep", {"row": HOUSE}, "invalid_request", "feature"),
        ("/sweep", [], "invalid_request", "body"),
        ("/sweep", {**SWEEP, "fature": 1}, "invalid_request", "fature"),
        ("/sweep", {**SWEEP, "masks": "shared"}, "invalid_request", "masks"),
        ("/sweep", {**SWEEP, "points": "5"}, "invalid_request", "points"),
        ("/sweep", {**SWEEP, "feature": "aera"}, "invalid_input", "feature"),
        ("/sweep", {**SWEEP, "row": {"area": 1.0}}, "invalid_input", "row.rooms"),
        ("/sweep", {**SWEEP, "values": [1, "x"]}, "invalid_input", "values.1"),
        ("/sweep", {**SWEEP, "coverage": 2.0}, "invalid_input", "coverage"),
        ("/sweep", {**SWEEP, "lines": -1}, "invalid_input", "lines"),
        ("/sweep", {**SWEEP, "points": 51}, "limit_exceeded", "points"),
        ("/sweep", {**SWEEP, "points": 10**12}, "limit_exceeded", "points"),
        ("/sweep", {**SWEEP, "values": [1.0] * 51}, "limit_exceeded", "values"),
        ("/sweep", {**SWEEP, "passes": 401}, "limit_exceeded", "passes"),
        ("/sweep", {**SWEEP, "points": 50, "passes": 101}, "limit_exceeded", "passes"),
        (
            "/sweep",
            {**SWEEP, "points": 50, "passes": 100, "lines": 21},
            "limit_exceeded",
            "lines",
        ),
        ("/explain", {}, "invalid_request", "row"),
        ("/explain", {**EXPLAIN, "feature": "area"}, "invalid_request", "feature"),
        ("/explain", {**EXPLAIN, "passes": 2.5}, "invalid_request", "passes"),
        ("/explain", {**EXPLAIN, "row": {**HOUSE, "area": "x"}}, "invalid_input", "row.area"),
        ("/explain", {**EXPLAIN, "row": [1]}, "invalid_input", "row"),
        ("/explain", {**EXPLAIN, "of": "rent"}, "invalid_input", "of"),
        ("/explain", {**EXPLAIN, "passes": 1}, "invalid_input", "passes"),
        ("/explain", {**EXPLAIN, "background_rows": 1}, "invalid_input", "background_rows"),
        ("/explain", {**EXPLAIN, "passes": 401}, "limit_exceeded", "passes"),
        ("/explain", {**EXPLAIN, "background_rows": 100}, "limit_exceeded", "background_rows"),
    ],
)
async def test_what_is_refused_names_the_field(
    client: httpx.AsyncClient, path: str, sent: Any, code: str, field: str
) -> None:
    response = await client.post(path, json=sent)
    body = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, body.code) == (422, code)
    assert body.details[0].field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [({}, "points"), ({"values": [1.0] * 40}, "values"), ({"feature": "quarter"}, "values")],
)
async def test_more_points_of_many_features_than_one_request_may_have_are_refused(
    artifacts: dict[str, Path], changes: dict[str, Any], field: str
) -> None:
    most = 100 if field != "values" or "values" in changes else 8
    async with asking(Settings(models=(artifacts["regression"],), max_values=most)) as client:
        sent = {"row": list(HOUSE.values()), "feature": "area", "points": 40, **changes}
        body = (await client.post("/sweep", json=sent)).json()
    assert (body["code"], body["details"][0]["field"]) == ("limit_exceeded", field)


async def test_a_point_on_which_the_network_overflows_is_named(
    client: httpx.AsyncClient,
) -> None:
    sent = {**SWEEP, "values": [50.0, 1e39], "feature": "area"}
    body = (await client.post("/sweep", json=sent)).json()
    assert body["details"][0]["field"] == "values.1", body


@pytest.mark.parametrize("path", ["/sweep", "/explain"])
async def test_an_unknown_model_is_told(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(f"/models/nothing{path}", json=SWEEP)
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    assert (await client.get(path)).status_code == 405
    assert (await client.post(f"{path}?passes=3", json=SWEEP)).status_code == 422


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/sweep", {**SWEEP, "points": 2000, "passes": 2000}),
        ("/explain", {"row": HOUSE, "passes": 10_000}),
    ],
)
async def test_a_deadline_ends_the_work(
    artifacts: dict[str, Path], path: str, sent: dict[str, Any]
) -> None:
    async with asking(Settings(models=tuple(artifacts.values()))) as client:
        headers = {"x-request-timeout-seconds": "0.02"}
        response = await client.post(path, json=sent, headers=headers)
        assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
        assert "within 0.02 seconds" in response.json()["error"]
        await answered(client, "/predict", {"rows": [HOUSE]})


async def test_predictions_do_not_wait_for_an_explanation(artifacts: dict[str, Path]) -> None:
    """Its steps take turns with the batches of others."""
    async with asking(Settings(models=tuple(artifacts.values()))) as client:
        explaining = asyncio.create_task(
            answered(client, "/explain", {"row": HOUSE, "passes": 5000, "background_rows": 100})
        )
        await asyncio.sleep(0.05)
        predicted = 0
        while not explaining.done():
            await answered(client, "/predict", {"rows": [HOUSE], "passes": 10})
            predicted += 1
        await explaining
        assert predicted >= 3


@pytest.mark.parametrize("path", ["/sweep", "/explain"])
async def test_requests_are_counted_and_hold_no_memory_after_it(
    artifacts: dict[str, Path], path: str
) -> None:
    async with asking(Settings(models=(artifacts["regression"],))) as client:
        await answered(client, path, SWEEP if path == "/sweep" else EXPLAIN)
        text = (await client.get("/metrics")).text
        assert 'mcd_requests_total{model="regression",outcome="ok"} 1.0' in text
        assert "mcd_in_flight_bytes 0.0" in text
        observed = 'mcd_predictive_std_count{model="regression"}'
        assert f"{observed} 0.0" in text or observed not in text  # no traffic, but a study of it


async def test_an_explanation_that_needs_more_memory_than_others_leave_is_refused(
    artifacts: dict[str, Path],
) -> None:
    settings = Settings(models=(artifacts["regression"],), in_flight_bytes=1 << 20)
    async with asking(settings) as client:
        sent = {"row": HOUSE, "passes": 5000, "background_rows": 5}
        got = await asyncio.gather(*(client.post("/explain", json=sent) for _ in range(3)))
        statuses = sorted(response.status_code for response in got)
        assert statuses == [200, 429, 429]


async def test_many_explanations_at_once_are_all_answered(client: httpx.AsyncClient) -> None:
    """Each holds its own numbers only, not the memory of a step, of which one runs at a time."""
    sent = {"row": HOUSE, "passes": 100}
    got = await asyncio.gather(*(client.post("/explain", json=sent) for _ in range(12)))
    assert {response.status_code for response in got} == {200}
