"""The native protocol: predictions, and the list of models.

Our code parses the body and encodes the answer, not the framework. The framework would take longer
for both than most predictions take, answer a NaN with status 500, and send a NaN as null.
"""

import copy
from collections.abc import Mapping
from enum import Enum
from typing import Any

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.errors import NotReady, declared
from app.http import JSON, Asked, PredictionRoute, QuerylessRoute, Reply, predicting
from app.json import to_json
from app.native.answers import encode
from app.native.exploring import examples
from app.native.landscape import add_landscape
from app.native.requests import ModelPath, Server, checked, received
from app.native.schemas import (
    ExplainRequest,
    ModelCard,
    ModelList,
    PredictRequest,
    PredictResponse,
    SweepRequest,
)
from app.service import WARM_UP, Answer, Prepared, Service
from app.settings import Settings

TAGS: list[str | Enum] = ["predictions"]

_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}
        },
    }
}


def router(service: Service) -> APIRouter:
    """The routes that list and describe the models."""
    routes = APIRouter(tags=TAGS, route_class=QuerylessRoute)
    _add_models(routes, service)
    add_landscape(routes, service)
    return routes


def describe(document: dict[str, Any], service: Service, settings: Settings) -> dict[str, Any]:
    """The OpenAPI document with an example request to every model, and the model's real answer.

    Raises NotReady before the models have answered.
    """
    if not service.ready:
        raise NotReady("the server is starting or stopping; try again")
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    for kind in (PredictRequest, SweepRequest, ExplainRequest):
        schemas[kind.__name__] = _request_schema(kind, settings)
    _leave_out(
        schemas["CalibrationRecord"], "scores", "groups", "comparisons"
    )  # as `Card.public` does
    shown: dict[str, dict[str, tuple[Any, Any]]] = {"predict": {}, "sweep": {}, "explain": {}}
    for name, example in service.examples.items():
        sent = {"rows": [example.row], "seed": WARM_UP.seed}
        shown["predict"][name] = sent, orjson.loads(b"".join(encode(example.answer)))
        others = examples(service.predictor(name), example.row, WARM_UP.seed or 0)
        for route, pair in others.items():
            shown[route][name] = pair
    for route, pairs in shown.items():
        _show(document["paths"][f"/{route}"], {service.default: pairs[service.default]})
        _show(document["paths"][f"/models/{{name}}/{route}"], pairs)
    return document


def _show(path: dict[str, Any], pairs: Mapping[str, tuple[Any, Any]]) -> None:
    """Add examples of requests and answers, by the name of the model, to a path."""
    operation = path["post"]
    for at, part in enumerate((operation["requestBody"], operation["responses"]["200"])):
        named = {name: {"value": pair[at]} for name, pair in pairs.items()}
        part["content"]["application/json"]["examples"] = named


def _request_schema(kind: type[BaseModel], settings: Settings) -> dict[str, Any]:
    """The schema of a request, required properties first, with the limits of the settings."""
    schema = kind.model_json_schema()
    properties, required = schema["properties"], schema["required"]
    schema["properties"] = {name: properties[name] for name in required} | properties
    limits = {"maxItems": {"rows"}, "maximum": {"points"}}
    for limit, names in limits.items():
        for name in names & properties.keys():
            properties[name][limit] = settings.max_rows
    properties["passes"]["maximum"] = settings.max_passes
    return schema


def _leave_out(schema: dict[str, Any], *names: str) -> None:
    for name in names:
        del schema["properties"][name]
    schema["required"] = [name for name in schema["required"] if name not in names]


def predictions(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of predictions."""

    server = Server(service, settings)

    async def answer(asked: Asked) -> Reply:
        return Reply(encode(await _answer(asked, server)))

    async def predict() -> None:
        """Mean, variance and their Monte-Carlo errors for every row, with dropout active."""

    async def predict_with(name: ModelPath) -> None:
        """Like `POST /predict`, with the model of that name."""

    documented: dict[str, Any] = {
        "application": predicting(service, answer),
        "response_model": PredictResponse,
        "openapi_extra": _REQUEST_BODY,
        "tags": TAGS,
    }
    statuses = (400, 401, 413, 415, 422, 429, 503, 504)
    return [
        PredictionRoute(
            "/predict",
            predict,
            summary="Predict with the default model",
            responses=declared(*statuses),
            **documented,
        ),
        PredictionRoute(
            "/models/{name}/predict",
            predict_with,
            summary="Predict with a named model",
            responses=declared(*sorted((*statuses, 404))),
            **documented,
        ),
    ]


async def _answer(asked: Asked, server: Server) -> Answer:
    def prepare(document: Any) -> Prepared:
        sent = checked(document, PredictRequest)
        return server.service.prepare(asked.predictor, sent.rows, sent.options())

    prepared, seconds = await received(asked, server, prepare)
    return await server.service.predict(prepared, timeout_seconds=seconds)


def _add_models(routes: APIRouter, service: Service) -> None:
    @routes.get(
        "/models",
        summary="List the models",
        response_model=ModelList,
        responses=declared(422, 503, reads_body=False),
    )
    async def list_models() -> Response:
        """The models that are served, the default model first."""
        return Response(to_json(_model_list(service)), media_type=JSON)

    @routes.get(
        "/models/{name}",
        summary="Describe a model",
        response_model=ModelCard,
        responses=declared(404, 422, 503, reads_body=False),
    )
    async def describe_model(name: ModelPath) -> Response:
        """The model's card: features, target, architecture, training record, held-out metrics."""
        document = {**service.card(name).public(), "example": service.example_row(name)}
        return Response(to_json(document), media_type=JSON)


def _model_list(service: Service) -> dict[str, Any]:
    default = service.default
    return {
        "models": [
            {
                "name": name,
                "version": card.version,
                "task": card.task,
                "default": name == default,
                "landscape": service.landscape(name).document is not None,
            }
            for name, card in service.cards.items()
        ],
        "default": default,
    }
