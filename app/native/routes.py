"""The native protocol: predictions, and what is served.

The body is parsed and the answer encoded here rather than by the framework, which would take longer
over both than most predictions do, answer a NaN with status 500, and send one as null.
"""

import copy
from time import perf_counter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from app.errors import InvalidRequest, NotJson, NotReady, ServiceError, declared, status_of
from app.http import Predict, Reply, headers_of, read_json, timeout_seconds
from app.json import objects, to_json
from app.native.schemas import ModelList, PredictRequest, PredictResponse
from app.service import WARM_UP, Answer, OptionFields, Service
from app.settings import Settings
from model import Card, Detail

ModelPath = Annotated[str, Path(description="A name from `GET /models`.", examples=["diabetes"])]

_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}
        },
    }
}


def router(service: Service, settings: Settings) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["predictions"])
    _add_predictions(routes, service, settings)
    _add_models(routes, service)
    return routes


def describe(document: dict[str, Any], service: Service, settings: Settings) -> dict[str, Any]:
    """The OpenAPI document with a request to every model, and the answer that it really got.

    Raises NotReady before the models have answered.
    """
    if not service.ready:
        raise NotReady("the server is starting or stopping; try again")
    schema = PredictRequest.model_json_schema()
    schema["properties"] = {
        "rows": schema["properties"].pop("rows"),
        **schema["properties"],
    }  # what is required comes first
    schema["properties"]["rows"]["maxItems"] = settings.max_rows
    schema["properties"]["passes"]["maximum"] = settings.max_passes
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    schemas["PredictRequest"] = schema
    _leave_out(
        schemas["CalibrationEntry"], "scores", "groups", "comparisons"
    )  # as `Card.public` does
    requests, answers = {}, {}
    for name, example in service.examples.items():
        requests[name] = {"value": {"rows": [example.row], "seed": WARM_UP.seed}}
        answers[name] = {"value": orjson.loads(encode(example.answer))}
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


def predicting(service: Service, settings: Settings) -> Predict:
    """The handler of predictions: the reply to a request to the named model."""

    async def predict(scope: Scope, receive: Receive, name: str | None) -> Reply:
        started, outcome, label = perf_counter(), "cancelled", "unknown"
        try:
            label = service.admit(name).card.name  # before the body is read
            content = await _predict(scope, receive, service, name, settings.max_body_bytes)
            outcome = "ok"
        except ClientDisconnect:
            raise
        except Exception as error:
            outcome, label = status_of(error)[1], _label(service, name)
            raise
        finally:
            service.metrics.finished(label, outcome, perf_counter() - started)
        return Reply(content)

    return predict


def encode(answer: Answer) -> bytes:
    """The answer as JSON; raises OutputNotFinite, for JSON has no word for NaN."""
    predictions = answer.predictions
    note = {} if predictions.note is None else {"note": predictions.note}
    promised = predictions.acceptance
    content = to_json(
        {
            "model": {"name": answer.card.name, "version": answer.card.version},
            "task": predictions.task,
            "passes": predictions.passes,
            "stopped": predictions.stopped,
            "seed": predictions.seed,
            "estimator": predictions.estimator,
            **note,
            "masks": predictions.masks,
            **({} if promised is None else {"acceptance": promised}),
            "predictions": objects(predictions.rows),
        }
    )
    # Nothing in an answer is None, so a null can only be a number that is not finite, or four
    # letters in a name. Looking for it in the bytes is cheaper than looking at every number.
    if b"null" in content:
        answer.check_finite()
    return content


def _add_predictions(routes: APIRouter, service: Service, settings: Settings) -> None:
    predicted = predicting(service, settings)

    @routes.post(
        "/predict",
        summary="Predict with the default model",
        response_model=PredictResponse,
        responses=declared(400, 401, 413, 415, 422, 429, 503, 504),
        openapi_extra=_REQUEST_BODY,
    )
    async def predict(request: Request) -> Response:
        """Mean, variance and the Monte-Carlo error of both for every row, with dropout active."""
        return (await predicted(request.scope, request.receive, None)).response()

    @routes.post(
        "/models/{name}/predict",
        summary="Predict with a named model",
        response_model=PredictResponse,
        responses=declared(400, 401, 404, 413, 415, 422, 429, 503, 504),
        openapi_extra=_REQUEST_BODY,
    )
    async def predict_with(request: Request, name: ModelPath) -> Response:
        """The same as `POST /predict`, with the model of that name."""
        return (await predicted(request.scope, request.receive, name)).response()


def _add_models(routes: APIRouter, service: Service) -> None:
    @routes.get(
        "/models", summary="List the models", response_model=ModelList, responses=declared(503)
    )
    async def list_models() -> Response:
        """The models that are served, the default one first."""
        return Reply(to_json(_model_list(service))).response()

    @routes.get(
        "/models/{name}",
        summary="Describe a model",
        response_model=Card,
        responses=declared(404, 503),
    )
    async def describe_model(name: ModelPath) -> Response:
        """The model's card: features, target, architecture, training record, held-out metrics."""
        return Reply(to_json(service.card(name).public())).response()


async def _predict(
    scope: Scope, receive: Receive, service: Service, name: str | None, limit_bytes: int
) -> bytes:
    headers = headers_of(scope)
    try:
        sent = _checked(await read_json(headers, receive, limit_bytes))
        options = sent.options()
        answer = await service.predict(
            name, sent.rows, options=options, timeout_seconds=timeout_seconds(headers)
        )
    except RecursionError as error:  # from quoting a value that is nested a thousand deep
        raise NotJson("the body is nested too deeply") from error
    return encode(answer)


def _checked(document: Any) -> PredictRequest:
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


def _sentence(fault: Any) -> str:
    known = ", ".join(["rows", *OptionFields.model_fields])
    match fault["type"]:
        case "missing":
            return f'is missing; send {{"rows": [...]}} with any of {known}'
        case "extra_forbidden":
            return f"is not known; a request has {known}"
        case "model_type":
            return "must be a JSON object with 'rows'"
        case _:
            expected = fault["msg"].replace("Input should be", "must be")
            return f"{expected.replace('valid list', 'array')}, not {_shown(fault['input'])}"


def _shown(value: Any) -> str:
    """A value of the request in JSON's words, short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = to_json(value).decode()
    return text if len(text) <= 80 else f"{text[:80]}..."


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


def _label(service: Service, name: str | None) -> str:
    """The model's name as a metric label; one for all unknown names, or they would pile up."""
    try:
        return service.card(name).name
    except ServiceError:
        return "unknown"
