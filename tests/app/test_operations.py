import re
from pathlib import Path

import httpx
import pytest

from app.errors import ErrorBody
from app.http import TIMEOUT
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

ROW = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


async def test_a_server_is_live_at_once_and_ready_between_start_and_stop(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    transport = httpx.ASGITransport(app)

    async def ready() -> bool:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/v2/health/live")).status_code == 200
            statuses = {
                (await client.get("/v2/health/ready")).status_code,
                (await client.post("/predict", json={"rows": [ROW]})).status_code,
                (await client.post("/models/regression/predict", json={"rows": [ROW]})).status_code,
            }
            assert len(statuses) == 1
            return statuses == {200}

    assert not await ready()
    async with app.router.lifespan_context(app):
        assert await ready()
    assert not await ready()


async def test_what_is_not_ready_says_when_to_come_back(artifacts: dict[str, Path]) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        for path in ("/v2/health/ready", "/models", "/models/regression", "/openapi.json"):
            response = await client.get(path)
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            assert ErrorBody.model_validate_json(response.content).code == "not_ready"


async def test_the_metrics_count_requests_by_model_and_outcome(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"], artifacts["binary"])))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        before = await metrics(client)
        await client.post("/predict", json={"rows": [ROW], "passes": 7})
        await client.post("/models/regression/predict", json={"rows": [ROW], "passes": 5})
        await client.post("/models/binary/predict", json={"rows": [[1]]})
        await client.post("/predict", content=b"[")
        for name in ("nobody", "no_one", "x" * 100):
            await client.post(f"/models/{name}/predict", content=b"{}")
        after = await metrics(client)

    requests = {name: value for name, value in after.items() if "requests_total" in name}
    assert requests == {
        'mcd_requests_total{model="regression",outcome="ok"}': 2,
        'mcd_requests_total{model="regression",outcome="not_json"}': 1,
        'mcd_requests_total{model="binary",outcome="invalid_input"}': 1,
        'mcd_requests_total{model="unknown",outcome="unknown_model"}': 3,
    }
    assert after["mcd_passes_total"] - before["mcd_passes_total"] == 12
    assert after["mcd_request_duration_seconds_count"] == 7
    assert after["mcd_inference_seconds_count"] - before["mcd_inference_seconds_count"] == 2
    assert after['mcd_model_ready{model="regression"}'] == 1
    assert after["mcd_queue_wait_seconds_count"] - before["mcd_queue_wait_seconds_count"] == 2
    assert after["mcd_batch_rows_sum"] - before["mcd_batch_rows_sum"] == 2
    assert after["mcd_queue_rows"] == 0
    assert after['mcd_predictive_std_count{model="regression"}'] == 2
    infos = [name for name in after if name.startswith("mcd_model_info")]
    assert len(infos) == 2
    assert all("version=" in name for name in infos)


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    """The samples of `GET /metrics` by name and labels."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_the_metrics_have_the_names_that_dashboards_ask_for(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        await client.post("/predict", json={"rows": [ROW]})
        await client.post("/predict", json={"rows": [ROW]}, headers={TIMEOUT: "1e-9"})
        samples = await metrics(client)
    shown = {re.sub(r"=\"[^\"]*\"", "", name) for name in samples}
    assert shown >= {
        "mcd_requests_total{model,outcome}",
        "mcd_request_duration_seconds_count",
        "mcd_queue_wait_seconds_count",
        "mcd_inference_seconds_count",
        "mcd_batch_rows_count",
        "mcd_queue_rows",
        "mcd_passes_total",
        "mcd_rejected_total{reason}",
        "mcd_predictive_std_count{model}",
        "mcd_model_info{model,version}",
        "mcd_model_ready{model}",
    }
