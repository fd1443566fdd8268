"""Host the application on Ray Serve: replicas on several machines, behind Ray's HTTP proxies.

`serve run app.ray_serve:build` runs it, or the file `deploy/ray/serve.yaml`. docs/ray.md says what
is different from `python -m app`.
"""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from app.logs import configure
from app.main import create_app
from app.metrics import Metrics
from app.service import Service
from app.settings import PREFIX, Settings, SettingsError, hurry_exporters, read_settings

NAME = "mc-dropout"
MOST_REQUESTS = 1_000  # in one replica, whose own queue of rows refuses more long before that
CHECK_SECONDS = 2.0  # between two health checks of a replica
WAIT_SECONDS = 0.2  # between two looks whether a replica that stops has answered its requests
LAST_SECONDS = 5.0  # for a replica to end, after the time to drain
_INSTEAD = {  # settings of a server of ours, and what there is under Ray
    "host": "http_options.host",
    "port": "http_options.port",
    "uds": "http_options.host",
    "root_path": "http_options.root_path",
    "keep_alive_seconds": "http_options.keep_alive_timeout_s",
    "workers": "min_replicas and max_replicas",
}


class Replicas(BaseModel):
    """How many replicas there are; Ray's configuration can replace each option of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=4, ge=1)
    target_requests: float = Field(default=8.0, gt=0)  # that wait or are computed, per replica


class Replica:
    """One process with all models; Ray asks it for the application and for its health."""

    def __init__(self, settings: Settings) -> None:
        configure(settings)
        hurry_exporters()
        self._settings = settings
        self._service = Service(settings, Metrics())
        self._service.load()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application; Ray runs its lifespan, which warms up the models and drains."""
        return create_app(self._settings, self._service)

    async def check_health(self) -> None:
        """Raise an exception unless the service is ready; Ray replaces a replica that fails."""
        if not self._service.ready:
            raise RuntimeError("the service is not ready")


def build(replicas: Replicas) -> Any:
    """The application for Ray Serve, with the settings of the environment; raises SettingsError.

    Replicas on every machine get these settings, so that folders have the same paths everywhere.
    """
    settings = read_settings()
    _refuse(settings)
    from ray import serve

    deployment = serve.deployment(
        serve.ingress()(Replica),
        name=NAME,
        ray_actor_options=_resources(settings),
        autoscaling_config={
            "min_replicas": replicas.min_replicas,
            "max_replicas": replicas.max_replicas,
            "target_ongoing_requests": replicas.target_requests,
        },
        max_ongoing_requests=MOST_REQUESTS,
        max_queued_requests=MOST_REQUESTS,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
        health_check_period_s=CHECK_SECONDS,
        health_check_timeout_s=settings.hang_seconds,
        graceful_shutdown_wait_loop_s=WAIT_SECONDS,
        graceful_shutdown_timeout_s=settings.drain_seconds + LAST_SECONDS,
    )
    return deployment.bind(settings)


def _refuse(settings: Settings) -> None:
    """Raise SettingsError for a setting that only a server of ours has."""
    for name in sorted(settings.model_fields_set & _INSTEAD.keys()):
        message = f"the proxies of Ray have it; set {_INSTEAD[name]} there"
        raise SettingsError(f"{PREFIX}{name.upper()}: {message}")


def _resources(settings: Settings) -> dict[str, Any]:
    """What Ray sets aside for a replica; `model` itself reads MCD_KERNEL from the environment."""
    found: dict[str, Any] = {"num_cpus": settings.threads}
    if settings.kernel == "off":
        found["runtime_env"] = {"env_vars": {f"{PREFIX}KERNEL": "off"}}
    return found
