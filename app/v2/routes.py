"""The routes of the Open Inference Protocol, version 2, over REST.

They differ from the native routes in the codec, and in one status: where the native routes answer
422, these answer 400, the protocol's only status for a wrong request.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.errors import (
    InvalidRequest,
    NotJson,
    NotReady,
    WrongContentType,
    declared,
    error_body,
    status_of,
)
from app.http import (
    JSON,
    PredictionRoute,
    QuerylessRoute,
    Reply,
    compress,
    headers_of,
    parse,
    predicting,
    read_bytes,
    timeout_seconds,
)
from app.service import Service
from app.settings import Settings
from app.v2 import codec
from app.v2.schemas import InferRequest, InferResponse, ModelMetadata, ModelReady, ServerMetadata
from model import Card, Detail, Predictor

HEADER_LENGTH = "inference-header-content-length"
BINARY_TYPE = "application/octet-stream"
SERVER = "mc-dropout-service"
EXTENSIONS = ("binary_tensor_data", "parameters")

TAGS: list[str | Enum] = ["open inference protocol"]

ModelPath = Annotated[str, Path(description="A name from `GET /models`.", examples=["diabetes"])]
VersionPath = Annotated[str, Path(description="A version from the model's metadata.")]


def router(service: Service) -> APIRouter:
    """The routes that describe the server, the models, and their inputs and outputs."""
    routes = APIRouter(tags=TAGS, route_class=_MetadataRoute)
    _add_metadata(routes, service)
    return routes


def _add_metadata(routes: APIRouter, service: Service) -> None:
    @routes.get(
        "/v2/", summary="Describe the server", name="server_metadata_slash", responses=declared(400)
    )
    @routes.get("/v2", summary="Describe the server", responses=declared(400))
    async def server_metadata() -> ServerMetadata:
        """Name, version, and the supported extensions of the protocol."""
        return ServerMetadata(name=SERVER, version=__version__, extensions=list(EXTENSIONS))

    @routes.get(
        "/v2/models/{name}", summary="Describe a model's tensors", responses=declared(400, 404, 503)
    )
    async def model_metadata(name: ModelPath) -> ModelMetadata:
        """The inputs and outputs with datatype and shape."""
        return codec.metadata(service.card(name), service.versions(name))

    @routes.get(
        "/v2/models/{name}/versions/{version}",
        summary="Describe the tensors of a model's version",
        responses=declared(400, 404, 503),
    )
    async def version_metadata(name: ModelPath, version: VersionPath) -> ModelMetadata:
        """Like `GET /v2/models/{name}`, for that version."""
        return codec.metadata(service.card(name, version), service.versions(name))

    @routes.get("/v2/models/{name}/ready", summary="Readiness", responses=declared(400, 404, 503))
    async def model_ready(name: ModelPath) -> ModelReady:
        """The model's next prediction will be computed."""
        return ModelReady(name=_ready(service, name, None).name, ready=True)

    @routes.get(
        "/v2/models/{name}/versions/{version}/ready",
        summary="Readiness of a version",
        responses=declared(400, 404, 503),
    )
    async def version_ready(name: ModelPath, version: VersionPath) -> ModelReady:
        """Like `GET /v2/models/{name}/ready`, for that version."""
        return ModelReady(name=_ready(service, name, version).name, ready=True)


def predictions(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of predictions."""

    async def answer(scope: Scope, receive: Receive, predictor: Predictor) -> Reply:
        headers = headers_of(scope)
        body = await read_bytes(headers, receive, settings.max_body_bytes)
        reply = await _infer(headers, body, service, predictor, settings.max_rows)
        return await _compressed(reply, headers.get("accept-encoding", ""))

    async def infer(name: ModelPath) -> None:
        """The fields of `POST /predict` as tensors, and its options in `parameters`."""

    async def infer_version(name: ModelPath, version: VersionPath) -> None:
        """Like `POST /v2/models/{name}/infer`, with that version of the model."""

    documented: dict[str, Any] = {
        "application": _with_status_400(predicting(service, answer)),
        "response_model": InferResponse,
        "responses": {
            **declared(400, 401, 404, 413, 415, 429, 503, 504),
            200: {"content": {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        },
        "openapi_extra": _request_body(),
        "tags": TAGS,
    }
    return [
        PredictionRoute(
            "/v2/models/{name}/infer", infer, summary="Predict from tensors", **documented
        ),
        PredictionRoute(
            "/v2/models/{name}/versions/{version}/infer",
            infer_version,
            summary="Predict from tensors with a version",
            **documented,
        ),
    ]


class _MetadataRoute(QuerylessRoute):
    """A route that answers 400 where it would answer 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of requests."""
        handler = super().get_route_handler()

        async def answering(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:
                return Response(_content_of_422(error), 400, media_type=JSON)

        return answering


def _content_of_422(error: Exception) -> bytes:
    """The body of an error with status 422; raises any other error."""
    status, code = status_of(error)
    if status != 422:
        raise error
    details: tuple[Detail, ...] = getattr(error, "details", ())
    return error_body(str(error), code, details)


def _with_status_400(application: ASGIApp) -> ASGIApp:
    """The application, which answers 400 where it would answer 422."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except Exception as error:
            await Reply(_content_of_422(error), status=400).send(send)

    return answering


async def _infer(
    headers: Mapping[str, str],
    body: bytes,
    service: Service,
    predictor: Predictor,
    max_rows: int,
) -> Reply:
    header, binary = _split(headers, body)
    sent = codec.checked(_document(header))
    seconds, card = _timeout_seconds(headers, sent), predictor.card
    outputs, options = codec.wanted(sent, card), codec.options(sent)
    rows = codec.rows(sent, binary, card, max_rows=max_rows)
    answer = await service.predict(predictor, rows, options=options, timeout_seconds=seconds)
    content, data = codec.encode(answer, outputs, sent.id)
    if not any(outputs.values()):
        return Reply(content)
    return Reply(content + data, BINARY_TYPE, ((HEADER_LENGTH, str(len(content))),))


def _timeout_seconds(headers: Mapping[str, str], sent: InferRequest) -> float | None:
    """The shorter of the two limits that a client may set, in a header and in a parameter."""
    times = (timeout_seconds(headers), codec.timeout_seconds(sent))
    return min((seconds for seconds in times if seconds is not None), default=None)


def _ready(service: Service, name: str, version: str | None) -> Card:
    """The card of the model; raises NotReady if the service cannot predict now."""
    if not service.ready:
        raise NotReady("the server is starting or stopping; try again")
    return service.card(name, version)


def _split(headers: Mapping[str, str], body: bytes) -> tuple[bytes, bytes]:
    """The JSON and the binary data of a body."""
    content_type = headers.get("content-type", BINARY_TYPE).partition(";")[0].strip()
    if content_type.lower() not in (BINARY_TYPE, "application/json"):
        raise WrongContentType(
            f"the content type is {content_type[:80]!r}; send application/json, {BINARY_TYPE} "
            "where binary data follows the JSON, or none"
        )
    sent = headers.get(HEADER_LENGTH)
    if sent is None:
        return body, b""
    if not (sent.isascii() and sent.isdecimal() and len(sent) < 20 and int(sent) <= len(body)):
        message = f"must be a number of bytes up to the body's {len(body)}, not {sent[:40]!r}"
        raise InvalidRequest(f"{HEADER_LENGTH}: {message}", [Detail(HEADER_LENGTH, message)])
    return body[: int(sent)], body[int(sent) :]


def _document(content: bytes) -> Any:
    """The JSON document, with the checks of the native protocol."""
    if not content.strip():
        raise NotJson("the body has no JSON; send an object with 'inputs'")
    return parse(content)


async def _compressed(reply: Reply, accepted: str) -> Reply:
    content, encoding = await compress(reply.content, accepted)
    headers = (*reply.headers, ("vary", "Accept-Encoding"))
    if encoding:
        headers += (("content-encoding", encoding),)
    return replace(reply, content=content, headers=headers)


def _request_body() -> dict[str, Any]:
    """The request's schema, with its parts inlined: OpenAPI has no place for `$defs`."""
    schema = InferRequest.model_json_schema()
    parts = schema.pop("$defs")

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inlined(parts[value["$ref"].rpartition("/")[2]])
        return {key: inlined(each) for key, each in value.items()}

    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {"application/json": {"schema": inlined(schema)}, BINARY_TYPE: binary}
    return {"requestBody": {"required": True, "content": content}}
