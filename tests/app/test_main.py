import tomllib
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.main import create_app
from app.metrics import Metrics
from app.service import Service
from app.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio


async def test_without_arguments_the_environment_has_the_settings(
    artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCD_MODELS", str(artifacts["binary"]))
    app = create_app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/models")).json()["default"] == "binary"
    monkeypatch.setenv("MCD_MODEL", "x")
    with pytest.raises(SettingsError):
        create_app()


async def test_a_service_that_has_loaded_is_not_loaded_again(artifacts: dict[str, Path]) -> None:
    settings = Settings(models=(artifacts["regression"],))
    service = Service(settings, Metrics())
    service.load()
    card = service.card("regression")
    app = create_app(settings, service)
    async with app.router.lifespan_context(app):
        assert service.ready
        assert service.card("regression") is card


async def test_two_applications_in_one_process_share_nothing(artifacts: dict[str, Path]) -> None:
    one = create_app(Settings(models=(artifacts["regression"],)))
    two = create_app(Settings(models=(artifacts["binary"],)))
    async with one.router.lifespan_context(one), two.router.lifespan_context(two):
        for app, name in ((one, "regression"), (two, "binary")):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                assert (await client.get("/models")).json()["default"] == name
                text = (await client.get("/metrics")).text
                assert text.count("mcd_model_ready{") == 1
                assert f'mcd_model_ready{{model="{name}"}} 1.0' in text


def test_the_version_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == __version__
