"""What the host on Ray asks of its settings; tests/journeys/test_ray_serve.py has the cluster."""

from pathlib import Path

import pytest

from app.ray_serve import Replica, Replicas, build
from app.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["PORT", "WORKERS", "ROOT_PATH", "KEEP_ALIVE_SECONDS"])
def test_a_setting_that_the_proxies_of_ray_have_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"MCD_{name}", "/mcd" if name == "ROOT_PATH" else "2")
    with pytest.raises(SettingsError, match=f"MCD_{name}: the proxies of Ray have it; set "):
        build(Replicas())


async def test_a_replica_is_healthy_while_its_application_is_ready(
    regression_artifact: Path,
) -> None:
    replica = Replica(Settings(models=(regression_artifact,)))
    app = replica.__serve_build_asgi_app__()
    with pytest.raises(RuntimeError, match="not ready"):
        await replica.check_health()
    async with app.router.lifespan_context(app):
        await replica.check_health()
    with pytest.raises(RuntimeError, match="not ready"):
        await replica.check_health()
