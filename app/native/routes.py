"""The native protocol: predictions, and the list of models.

This module parses the body and encodes the answer, not the framework. The framework would take
longer for both than most predictions take, answer a NaN with status 500, and send a NaN as null.
"""

import copy
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Response
from pydantic import ValidationError

from app.errors import MAX_DETAILS, InvalidRequest, NotJson, NotReady, declared
from app.http import (
    BLOCK_NUMBERS,
    JSON,
    Asked,
    PredictionRoute,
    QuerylessRoute,
    Reply,
    Structure,
    check_json_type,
    headers_of,
    parse,
    predicting,
    read_bytes,
    timeout_seconds,
)
from app.json import to_json
from app.messages import cut, expected, nearest, shown
from app.native.schemas import ModelCard, ModelList, PredictRequest, PredictResponse
from app.service import WARM_UP, Answer, OptionFields, Prepared, Service
from app.settings import Settings
from model import Detail

ModelPath = Annotated[str, Path(description="A name from `GET /models`.", examples=["diabetes"])]

_KNOWN = ", ".join(["rows", *OptionFields.model_fields])
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
    return routes


def describe(document: dict[str, Any], service: Service, settings: Settings) -> dict[str, Any]:
    """The OpenAPI document with an example request to every model, and the model's real answer.

    Raises NotReady before the models have answered.
    """
    if not service.ready:
        raise NotReady("the server is starting or stopping; try again")
    schema = PredictRequest.model_json_schema()
    schema["properties"] = {
        "rows": schema["properties"].pop("rows"),
        **schema["properties"],
    }  # required properties come first
    schema["properties"]["rows"]["maxItems"] = settings.max_rows
    schema["properties"]["passes"]["maximum"] = settings.max_passes
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    schemas["PredictRequest"] = schema
    _leave_out(
        schemas["CalibrationRecord"], "scores", "groups", "comparisons"
    )  # as `Card.public` does
    requests, answers = {}, {}
    for name, example in service.examples.items():
        requests[name] = {"value": {"rows": [example.row], "seed": WARM_UP.seed}}
        answers[name] = {"value": orjson.loads(b"".join(encode(example.answer)))}
    for path, names in (("/predict", [service.default]), ("/models/{name}/predict", answers)):
        operation = document["paths"][path]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        body["examples"] = {name: requests[name] for name in names}
        answer = operation["responses"]["200"]["content"]["application/json"]
        answer["examples"] = {name: answers[name] for name in names}
    return document


def _leave_out(schema: dict[str, Any], *names: str) -> None:
    for name in names:
        del schema["properties"][name]
    schema["required"] = [name for name in schema["required"] if name not in names]


def predictions(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of predictions."""

    async def answer(asked: Asked) -> Reply:
        return Reply(encode(await _answer(asked, service, settings)))

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


async def _answer(asked: Asked, service: Service, settings: Settings) -> Answer:
    headers, predictor = headers_of(asked.scope), asked.predictor
    check_json_type(headers)
    body = await read_bytes(headers, asked.receive, settings.max_body_bytes, asked.held)
    structure = Structure.of(
        values=settings.max_values, rows=settings.max_rows, features=len(predictor.card.features)
    )

    def read() -> Prepared:
        sent = _checked(parse(body, structure))
        return service.prepare(predictor, sent.rows, sent.options())

    try:
        seconds, prepared = timeout_seconds(headers), await service.read(body, read)
        asked.held.take(prepared.memory_bytes)
        return await service.predict(prepared, timeout_seconds=seconds)
    except RecursionError as error:  # a value in the message has a thousand levels
        raise NotJson("the body is nested too deeply") from error


def encode(answer: Answer) -> Iterator[bytes]:
    """The answer as JSON, in pieces of a few milliseconds' work each."""
    predictions = answer.predictions
    note = {} if predictions.note is None else {"note": predictions.note}
    promised = predictions.acceptance
    document: dict[str, Any] = {
        "model": {"name": answer.card.name, "version": answer.card.version},
        "task": predictions.task,
        "passes": predictions.passes,
        "stopped": predictions.stopped,
        "seed": predictions.seed,
        "estimator": predictions.estimator,
        **note,
        "masks": predictions.masks,
        **({} if promised is None else {"acceptance": promised}),
    }
    blocks = list(predictions.rows.blocks(BLOCK_NUMBERS))
    if len(blocks) == 1:
        yield to_json({**document, "predictions": blocks[0].records()})
        return
    yield to_json({**document, "predictions": []})[:-2]
    for number, block in enumerate(blocks):
        yield b"," * (number > 0) + to_json(block.records())[1:-1]
    yield b"]}"


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


def _checked(document: Any) -> PredictRequest:
    if type(document) is dict:  # before the validation, which would list a million unknown keys
        unknown = (key for key in document if key not in PredictRequest.model_fields)
        if details := [_unknown(key) for key in islice(unknown, MAX_DETAILS)]:
            raise InvalidRequest(f"{details[0].field}: {details[0].message}", details)
    try:
        return PredictRequest.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
    details = [
        Detail(".".join(map(str, fault["loc"])) if fault["loc"] else "body", _sentence(fault))
        for fault in faults
    ]
    first = details[0]
    raise InvalidRequest(f"{first.field}: {first.message}", details)


def _unknown(key: str) -> Detail:
    like = nearest(key, PredictRequest.model_fields)
    return Detail(cut(key), f"is not known{like}; a request has {_KNOWN}")


def _sentence(fault: Any) -> str:
    match fault["type"]:
        case "missing":
            return f'is missing; send {{"rows": [...]}} with any of {_KNOWN}'
        case "model_type":
            return "must be a JSON object with 'rows'"
        case _:
            return f"{expected(fault)}, not {shown(fault['input'])}"


def _model_list(service: Service) -> dict[str, Any]:
    default = service.default
    return {
        "models": [
            {
                "name": name,
                "version": card.version,
                "task": card.task,
                "default": name == default,
            }
            for name, card in service.cards.items()
        ],
        "default": default,
    }
