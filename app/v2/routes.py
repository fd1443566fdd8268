"""The Open Inference Protocol, version 2, over REST: what clients of Triton and KServe speak.

It differs from the native protocol in its codec only. Where that answers 422, this answers 400: the
protocol knows no other status for a request that is wrong.
"""

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

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
from app.http import Infer, Reply, compress, headers_of, parse, read_bytes, timeout_seconds
from app.service import Service
from app.settings import Settings
from app.v2 import codec
from app.v2.schemas import InferRequest, InferResponse, ModelMetadata, ModelReady, ServerMetadata
from model import Card, Detail

HEADER_LENGTH = "inference-header-content-length"
BINARY_TYPE = "application/octet-stream"
SERVER = "mc-dropout-service"
EXTENSIONS = ("binary_tensor_data", "parameters")

ModelPath = Annotated[str, Path(description="A name from `GET /models`.", examples=["diabetes"])]
VersionPath = Annotated[str, Path(description="A version from the model's metadata.")]


def router(service: Service, settings: Settings) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["open inference protocol"])
    _add_metadata(routes, service)
    _add_inference(routes, service, settings)
    return routes


def _add_metadata(routes: APIRouter, service: Service) -> None:
    @routes.get(
        "/v2/", summary="Describe the server", name="server_metadata_slash", responses=declared()
    )
    @routes.get("/v2", summary="Describe the server", responses=declared())
    async def server_metadata() -> ServerMetadata:
        """Name, version, and the extensions of the protocol that are spoken."""
        return ServerMetadata(name=SERVER, version=__version__, extensions=list(EXTENSIONS))

    @routes.get(
        "/v2/models/{name}", summary="Describe a model's tensors", responses=declared(404, 503)
    )
    async def model_metadata(name: ModelPath) -> ModelMetadata:
        """Inputs and outputs with datatype and shape."""
        return codec.metadata(service.card(name), service.versions(name))

    @routes.get(
        "/v2/models/{name}/versions/{version}",
        summary="Describe the tensors of a model's version",
        responses=declared(404, 503),
    )
    async def version_metadata(name: ModelPath, version: VersionPath) -> ModelMetadata:
        """The same, for that version."""
        return codec.metadata(service.card(name, version), service.versions(name))

    @routes.get("/v2/models/{name}/ready", summary="Readiness", responses=declared(404, 503))
    async def model_ready(name: ModelPath) -> ModelReady:
        """The model's next prediction will be computed."""
        return ModelReady(name=_ready(service, name, None).name, ready=True)

    @routes.get(
        "/v2/models/{name}/versions/{version}/ready",
        summary="Readiness of a version",
        responses=declared(404, 503),
    )
    async def version_ready(name: ModelPath, version: VersionPath) -> ModelReady:
        """The same, for that version."""
        return ModelReady(name=_ready(service, name, version).name, ready=True)


def inferring(service: Service, settings: Settings) -> Infer:
    """The handler of predictions: the reply to a request to a version of the named model."""

    async def infer(scope: Scope, receive: Receive, name: str, version: str | None) -> Reply:
        started, outcome, label = perf_counter(), "cancelled", "unknown"
        headers = headers_of(scope)
        try:
            label = _ready(service, name, version).name  # before the body is read
            body = await read_bytes(headers, receive, settings.max_body_bytes)
            reply = await _infer(headers, body, service, (name, version), settings.max_rows)
            outcome = "ok"
        except ClientDisconnect:
            raise
        except Exception as error:
            status, outcome = status_of(error)
            if status != 422:
                raise
            details: tuple[Detail, ...] = getattr(error, "details", ())
            return Reply(error_body(str(error), outcome, details), status=400)
        finally:
            service.metrics.finished(label, outcome, perf_counter() - started)
        return await _compressed(reply, headers.get("accept-encoding", ""))

    return infer


def _add_inference(routes: APIRouter, service: Service, settings: Settings) -> None:
    inferred = inferring(service, settings)
    documented: dict[str, Any] = {
        "response_model": InferResponse,
        "responses": {
            **declared(400, 401, 404, 413, 415, 429, 503, 504),
            200: {"content": {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        },
        "openapi_extra": _request_body(),
    }

    @routes.post("/v2/models/{name}/infer", summary="Predict from tensors", **documented)
    async def infer(request: Request, name: ModelPath) -> Response:
        """Mean, variance and the rest as tensors; options of `POST /predict` in `parameters`."""
        return (await inferred(request.scope, request.receive, name, None)).response()

    @routes.post(
        "/v2/models/{name}/versions/{version}/infer",
        summary="Predict from tensors with a version",
        **documented,
    )
    async def infer_version(request: Request, name: ModelPath, version: VersionPath) -> Response:
        """The same, with that version of the model."""
        return (await inferred(request.scope, request.receive, name, version)).response()


async def _infer(
    headers: Mapping[str, str],
    body: bytes,
    service: Service,
    asked: tuple[str, str | None],
    max_rows: int,
) -> Reply:
    header, binary = _split(headers, body)
    sent = codec.checked(_document(header))
    seconds = _timeout_seconds(headers, sent)
    card = _ready(service, *asked)
    outputs, options = codec.wanted(sent, card), codec.options(sent)
    rows = codec.rows(sent, binary, card, max_rows=max_rows)
    answer = await service.predict(
        card.name, rows, options=options, version=card.version, timeout_seconds=seconds
    )
    content, data = codec.encode(answer, outputs, sent.id)
    if not any(outputs.values()):
        return Reply(content)
    return Reply(content + data, BINARY_TYPE, ((HEADER_LENGTH, str(len(content))),))


def _timeout_seconds(headers: Mapping[str, str], sent: InferRequest) -> float | None:
    """The shorter of the two times that a client may name, in a header and as a parameter."""
    times = (timeout_seconds(headers), codec.timeout_seconds(sent))
    return min((seconds for seconds in times if seconds is not None), default=None)


def _ready(service: Service, name: str, version: str | None) -> Card:
    """The card of a model that predicts now."""
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
    """The JSON document, checked as the native one is.

    Outside of strings every key has one colon; only a document with other colons, or a fault, takes
    the slow way of `parse`, which finds keys named twice.
    """
    if not content.strip():
        raise NotJson("the body has no JSON; send an object with 'inputs'")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return parse(content)
    return document if content.count(b":") == _count_keys(document) else parse(content)


def _count_keys(document: Any) -> int:
    """Number of keys in a request of the protocol's shape."""
    if type(document) is not dict:
        return 0
    objects = [document]
    for part in (document.get("inputs"), document.get("outputs")):
        objects += [each for each in part if type(each) is dict] if type(part) is list else []
    parameters = [each.get("parameters") for each in objects]
    return sum(len(each) for each in [*objects, *parameters] if type(each) is dict)


async def _compressed(reply: Reply, accepted: str) -> Reply:
    content, encoding = await compress(reply.content, accepted)
    headers = (*reply.headers, ("vary", "Accept-Encoding"))
    if encoding:
        headers += (("content-encoding", encoding),)
    return replace(reply, content=content, headers=headers)


def _request_body() -> dict[str, Any]:
    """The request's schema, with its parts where they are used: OpenAPI has no room for `$defs`."""
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
