"""The routes that show what a prediction depends on."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.types import ASGIApp

import model
from app.error_examples import OF_EXPLORATIONS, OF_ONE_ROW
from app.errors import declared
from app.http import Asked, PredictionRoute, Reply, predicting
from app.json import to_json
from app.native.answers import encode
from app.native.requests import ModelPath, Server, checked, received
from app.native.schemas import ExplainRequest, ExplainResponse, SweepRequest, SweepResponse
from app.service import (
    Answer,
    ExplanationAnswer,
    Points,
    PreparedSweep,
    Question,
    Service,
    SweepAnswer,
    prepare_explanation,
    prepare_sweep,
    run_explanation,
    run_sweep,
)
from app.settings import Settings
from model import Estimated, ExplanationPlan, PredictOptions, Predictor

TAGS: Any = ["exploration"]
STATUSES = (400, 401, 413, 415, 422, 429, 503, 504)


def explorations(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of sweeps and explanations."""
    server = Server(service, settings)

    async def sweep() -> None:
        """Predictions of one row at many values of one feature, all under the same masks.

        A pass is then one thinned network, so its `lines` are smooth curves. The numbers are those
        of `POST /predict` for the same rows, options and seed, with `masks` shared.
        """

    async def sweep_with(name: ModelPath) -> None:
        """Like `POST /sweep`, with the model of that name."""

    async def explain() -> None:
        """Where the variance of one row comes from: by dropout layer, and by feature.

        Each share has its Monte-Carlo error.
        """

    async def explain_with(name: ModelPath) -> None:
        """Like `POST /explain`, with the model of that name."""

    async def swept(asked: Asked) -> Reply:
        return Reply(_sweep(await _swept(asked, server)))

    async def explained(asked: Asked) -> Reply:
        return Reply([to_json(_explanation(await _explained(asked, server)))])

    return [
        *_routes(
            "sweep",
            "Sweep a feature",
            (sweep, sweep_with),
            SweepRequest,
            SweepResponse,
            predicting(service, swept),
        ),
        *_routes(
            "explain",
            "Explain a row",
            (explain, explain_with),
            ExplainRequest,
            ExplainResponse,
            predicting(service, explained),
        ),
    ]


def _routes(
    name: str,
    title: str,
    endpoints: tuple[Callable[..., Any], Callable[..., Any]],
    request: type[BaseModel],
    response: type[BaseModel],
    application: ASGIApp,
) -> list[PredictionRoute]:
    """The route of the default model, and that of a named one."""
    schema = {"$ref": f"#/components/schemas/{request.__name__}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    ways = (
        (f"/{name}", "the default model", STATUSES),
        (f"/models/{{name}}/{name}", "a named model", sorted((*STATUSES, 404))),
    )
    return [
        PredictionRoute(
            path,
            endpoint,
            application=application,
            response_model=response,
            openapi_extra={"requestBody": body},
            summary=f"{title} with {whose}",
            responses=declared(*statuses, examples={**OF_ONE_ROW, **OF_EXPLORATIONS[name]}),
            tags=TAGS,
        )
        for (path, whose, statuses), endpoint in zip(ways, endpoints, strict=True)
    ]


def examples(predictor: Predictor, row: dict[str, Any], seed: int) -> dict[str, tuple[Any, Any]]:
    """A request that the model answers, and its answer, for `sweep` and `explain`."""
    feature = predictor.card.features[0].name
    few = {"row": row, "feature": feature, "points": 3, "lines": 2, "passes": 20, "seed": seed}
    options = PredictOptions(passes=20, seed=seed)
    swept = model.sweep(predictor, row, feature, points=3, lines=2, options=options)
    answer = SweepAnswer(swept.axis, Answer(predictor.card, swept.predictions), swept.lines)
    found = model.explain(predictor, row, passes=20, seed=seed, background_rows=2)
    least = {"row": row, "passes": 20, "seed": seed, "background_rows": 2}
    return {
        "sweep": (few, orjson.loads(b"".join(_sweep(answer)))),
        "explain": (least, _explanation(ExplanationAnswer(predictor.card, found))),
    }


async def _swept(asked: Asked, server: Server) -> SweepAnswer:
    def prepare(document: Any) -> PreparedSweep:
        sent = checked(document, SweepRequest)
        points = Points(sent.feature, sent.values, sent.points, sent.margin, sent.lines)
        return prepare_sweep(server.service, asked.predictor, sent.row, points, sent.options())

    prepared, seconds = await received(asked, server, prepare)
    return await run_sweep(server.service, prepared, timeout_seconds=seconds)


def _sweep(swept: SweepAnswer) -> Iterator[bytes]:
    axis = swept.axis
    extra = {
        "feature": axis.feature,
        "kind": axis.kind,
        "training_range": axis.training_range,
        "values": axis.values,
        "lines": swept.lines,
    }
    return encode(swept.answer, extra)


async def _explained(asked: Asked, server: Server) -> ExplanationAnswer:
    def prepare(document: Any) -> ExplanationPlan:
        sent = checked(document, ExplainRequest)
        question = Question(sent.of, sent.passes, sent.seed, sent.background_rows)
        return prepare_explanation(server.service, asked.predictor, sent.row, question)

    plan, seconds = await received(asked, server, prepare)
    return await run_explanation(server.service, plan, timeout_seconds=seconds)


def _explanation(answer: ExplanationAnswer) -> dict[str, Any]:
    found, card = answer.explanation, answer.card
    return {
        "model": {"name": card.name, "version": card.version},
        "task": card.task,
        "passes": found.passes,
        "seed": found.seed,
        "of": found.of,
        **_both("mean", found.mean),
        **_both("variance", found.variance),
        **_both("std", found.std),
        "layers": [
            {
                "layer": each.layer,
                "rate": each.rate,
                **_both("variance", each.variance, "error"),
                **_both("alone", each.alone),
                **_both("total", each.total),
            }
            for each in found.layers
        ],
        "interactions": _both("variance", found.interactions, "error"),
        "features": found.features
        and [
            {"feature": each.feature, "value": each.value, **_both("std", each.std, "error")}
            for each in found.features
        ],
        "background": found.background
        and {"rows": found.background.rows, **_both("std", found.background.std, "error")},
        **({} if found.note is None else {"note": found.note}),
    }


def _both(name: str, number: Estimated, error: str | None = None) -> dict[str, float]:
    """A number and its error, by their names in the answer."""
    return {name: number.value, error or f"{name}_error": number.error}
