"""The routes that show what a prediction depends on."""

from typing import Any

from app.errors import declared
from app.http import Asked, PredictionRoute, Reply, predicting
from app.native.answers import encode
from app.native.requests import ModelPath, Server, checked, received
from app.native.schemas import SweepRequest, SweepResponse
from app.service import Points, PreparedSweep, Service, SweepAnswer, prepare_sweep, run_sweep
from app.settings import Settings

TAGS: Any = ["exploration"]
STATUSES = (400, 401, 413, 415, 422, 429, 503, 504)


def explorations(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of sweeps."""
    server = Server(service, settings)

    async def answer(asked: Asked) -> Reply:
        return Reply(_encoded(await _swept(asked, server)))

    async def sweep() -> None:
        """Predictions of one row at many values of one feature, all under the same masks.

        A pass is then one thinned network, so its `lines` are smooth curves. The numbers are those
        of `POST /predict` for the same rows, options and seed, with `masks` shared.
        """

    async def sweep_with(name: ModelPath) -> None:
        """Like `POST /sweep`, with the model of that name."""

    documented: dict[str, Any] = {
        "application": predicting(service, answer),
        "response_model": SweepResponse,
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/SweepRequest"}}
                },
            }
        },
        "tags": TAGS,
    }
    return [
        PredictionRoute(
            "/sweep",
            sweep,
            summary="Sweep a feature with the default model",
            responses=declared(*STATUSES),
            **documented,
        ),
        PredictionRoute(
            "/models/{name}/sweep",
            sweep_with,
            summary="Sweep a feature with a named model",
            responses=declared(*sorted((*STATUSES, 404))),
            **documented,
        ),
    ]


async def _swept(asked: Asked, server: Server) -> SweepAnswer:
    def prepare(document: Any) -> PreparedSweep:
        sent = checked(document, SweepRequest)
        points = Points(sent.feature, sent.values, sent.points, sent.margin, sent.lines)
        return prepare_sweep(server.service, asked.predictor, sent.row, points, sent.options())

    prepared, seconds = await received(asked, server, prepare)
    return await run_sweep(server.service, prepared, timeout_seconds=seconds)


def _encoded(swept: SweepAnswer) -> Any:
    axis = swept.axis
    extra = {
        "feature": axis.feature,
        "kind": axis.kind,
        "training_range": axis.training_range,
        "values": axis.values,
        "lines": swept.lines,
    }
    return encode(swept.answer, extra)
