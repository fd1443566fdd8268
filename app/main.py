"""Make the application from the parts of the service; no other module does that."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from app import __version__, native, operations, pages, v2
from app.http import (
    HEALTH_PATHS,
    Access,
    CrossOrigin,
    Direct,
    Disconnect,
    Guard,
    Knowledge,
    route_path,
)
from app.metrics import Metrics
from app.service import Service
from app.settings import Settings, names_a_collector, read_settings

TITLE = "MC dropout"
UNOBSERVED_PATHS = (*HEALTH_PATHS, "/metrics")  # machines call these every few seconds
DESCRIPTION = """\
Predictions of trained networks with dropout left active: mean, variance across the passes, and the
Monte-Carlo error of both. Every error, on every route, has the same body."""

TAGS = [  # in the order of a new user's need
    {"name": "predictions", "description": "Ask a model, and look at what is served."},
    {
        "name": "exploration",
        "description": "One row looked at more closely: along one feature, and where the variance "
        "comes from.",
    },
    {"name": "operations", "description": "Watch the server: health and metrics."},
    {
        "name": "open inference protocol",
        "description": "The same models for clients of Triton, KServe and MLServer.",
    },
]


class Application(FastAPI):
    """FastAPI with our own middleware instead of the framework's."""

    def __init__(self, surround: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._surround = surround

    def build_middleware_stack(self) -> ASGIApp:
        """Our middleware, and the framework's one that routes need. Access answers every error."""
        stack = AsyncExitStackMiddleware(self.router)
        return self._surround(Direct(stack, self.router.routes))


def create_app(settings: Settings | None = None, service: Service | None = None) -> FastAPI:
    """The application. Its lifespan loads the models, unless `service` has, and warms them up.

    Without `settings`, the environment gives the settings. Raises SettingsError.
    """
    settings = settings or read_settings()
    service = service or Service(settings, Metrics())
    app = Application(
        _layers(settings, service),
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        openapi_tags=TAGS,
        lifespan=_lifespan_of(service),
        openapi_url=None,  # served by app/pages, with examples and relative URLs
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # a redirect would name this host, not the proxy in front
        telemetry=_telemetry(),
    )
    app.router.routes[:0] = [
        *native.predictions(service, settings),
        *native.explorations(service, settings),
        *v2.predictions(service, settings),
    ]
    app.include_router(native.router(service))
    app.include_router(v2.router(service))
    app.include_router(operations.router(service))
    app.include_router(pages.playground())

    @lru_cache(maxsize=1)
    def document(_: int) -> dict[str, Any]:
        return native.describe(app.openapi(), service, settings)

    # The document is made once, and again after the models have changed.
    app.include_router(pages.router(lambda: document(service.generation)))
    return app


def _telemetry() -> TelemetryConfig:
    """Traces and metrics of requests, if the environment names a collector.

    Both are off without a collector: otherwise the framework would look for one at every request.
    Log records are always off: they have the messages of exceptions, which may quote a request.
    """
    wanted = names_a_collector()
    return {
        "auto_configure": True,
        "tracing": wanted,
        "metrics": wanted,
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: route_path(scope) in UNOBSERVED_PATHS,
    }


def _layers(settings: Settings, service: Service) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware that every request passes, from the innermost to the outermost."""
    knowledge = Knowledge(Guard.of(settings), service.metrics, lambda: service.draining)

    def surround(app: ASGIApp) -> ASGIApp:
        app = Access(Disconnect(app), knowledge)
        if not settings.cors_origins:
            return app
        keyless = replace(knowledge, guard=Guard((), 0))
        return CrossOrigin(app, settings.cors_origins, lambda answer: Access(answer, keyless))

    return surround


def _lifespan_of(service: Service) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    return lifespan
