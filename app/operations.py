"""The routes for operators: liveness, readiness and metrics."""

from fastapi import APIRouter, Response

from app.errors import NotReady, declared
from app.metrics import CONTENT_TYPE
from app.service import Service


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/v2/health/live", summary="Liveness", responses=declared())
    async def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @routes.get("/v2/health/ready", summary="Readiness", responses=declared(503))
    async def ready() -> dict[str, bool]:
        """Every model is loaded and has predicted once, and the service takes predictions."""
        if not service.ready:
            raise NotReady("the server is starting or stopping; try again")
        return {"ready": True}

    @routes.get(
        "/metrics",
        summary="Metrics in the Prometheus text format",
        response_class=Response,
        responses={**declared(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def prometheus() -> Response:
        """The metrics of requests, durations, passes and models."""
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)

    return routes
