"""The routes of the Open Inference Protocol, version 2, over REST.

They differ from the native routes in the codec, and in one status: where the native routes answer
422, these answer 400, the protocol's only status for a wrong request.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.error_examples import OF_TENSORS, OF_VERSIONS
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
    Asked,
    PredictionRoute,
    QuerylessRoute,
    Reply,
    Structure,
    compressed,
    headers_of,
    parse,
    predicting,
    read_bytes,
    timeout_seconds,
)
from app.service import Prepared, Service
from app.settings import Settings
from app.v2 import codec
from app.v2.schemas import InferRequest, InferResponse, ModelMetadata, ModelReady, ServerMetadata
from model import Card, Detail, kernel_name

HEADER_LENGTH = "inference-header-content-length"
BINARY_TYPE = "application/octet-stream"
SERVER = "mc-dropout-service"
PART_BYTES = 1 << 18  # of binary data, sent at once
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
    @routes.get("/v2/", include_in_schema=False)
    @routes.get("/v2", summary="Describe the server", responses=_declared(400))
    async def server_metadata() -> ServerMetadata:
        """Name, version, the supported extensions of the protocol, and the kernel of the passes."""
        return ServerMetadata(
            name=SERVER,
            version=__version__,
            extensions=list(EXTENSIONS),
            kernel=kernel_name(),
        )

    @routes.get(
        "/v2/models/{name}",
        summary="Describe a model's tensors",
        responses=_declared(400, 404, 503),
    )
    async def model_metadata(name: ModelPath) -> ModelMetadata:
        """The inputs and outputs with datatype and shape."""
        return codec.metadata(service.card(name), service.versions(name))

    @routes.get(
        "/v2/models/{name}/versions/{version}",
        summary="Describe the tensors of a model's version",
        responses=_declared(400, 404, 503, version=True),
    )
    async def version_metadata(name: ModelPath, version: VersionPath) -> ModelMetadata:
        """Like `GET /v2/models/{name}`, for that version."""
        return codec.metadata(service.card(name, version), service.versions(name))

    @routes.get("/v2/models/{name}/ready", summary="Readiness", responses=_declared(400, 404, 503))
    async def model_ready(name: ModelPath) -> ModelReady:
        """The model's next prediction will be computed."""
        return ModelReady(name=_ready(service, name, None).name, ready=True)

    @routes.get(
        "/v2/models/{name}/versions/{version}/ready",
        summary="Readiness of a version",
        responses=_declared(400, 404, 503, version=True),
    )
    async def version_ready(name: ModelPath, version: VersionPath) -> ModelReady:
        """Like `GET /v2/models/{name}/ready`, for that version."""
        return ModelReady(name=_ready(service, name, version).name, ready=True)


def _declared(
    *statuses: int, reads_body: bool = False, version: bool = False
) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that answers 400 instead of 422."""
    examples = (OF_TENSORS if reads_body else {}) | (OF_VERSIONS if version else {})
    return declared(*statuses, reads_body=reads_body, of_422=400, examples=examples)


def predictions(service: Service, settings: Settings) -> list[PredictionRoute]:
    """The routes of predictions."""

    async def answer(asked: Asked) -> Reply:
        sent = headers_of(asked.scope)
        reply = await _infer(sent, asked, service, settings)
        pieces, encoding = compressed(reply.pieces, sent.get("accept-encoding", ""))
        headers = (*reply.headers, ("vary", "Accept-Encoding"))
        if encoding:
            headers += (("content-encoding", encoding),)
        return replace(reply, pieces=pieces, headers=headers)

    async def infer(name: ModelPath) -> None:
        """The fields of `POST /predict` as tensors, and its options in `parameters`."""

    async def infer_version(name: ModelPath, version: VersionPath) -> None:
        """Like `POST /v2/models/{name}/infer`, with that version of the model."""

    documented: dict[str, Any] = {
        "application": _with_status_400(predicting(service, answer)),
        "response_model": InferResponse,
        "openapi_extra": _request_body(),
        "tags": TAGS,
    }

    def responses(*, version: bool) -> dict[int | str, dict[str, Any]]:
        statuses = (400, 401, 404, 413, 415, 429, 503, 504)
        binary = {"content": {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
        return {**_declared(*statuses, reads_body=True, version=version), 200: binary}

    return [
        PredictionRoute(
            "/v2/models/{name}/infer",
            infer,
            summary="Predict from tensors",
            responses=responses(version=False),
            **documented,
        ),
        PredictionRoute(
            "/v2/models/{name}/versions/{version}/infer",
            infer_version,
            summary="Predict from tensors with a version",
            responses=responses(version=True),
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
            reply = Reply((_content_of_422(error),), status=400)
            await reply.send(scope, send)

    return answering


async def _infer(
    headers: Mapping[str, str], asked: Asked, service: Service, settings: Settings
) -> Reply:
    body = await read_bytes(headers, asked.receive, settings.max_body_bytes, asked.held)
    predictor, card, max_rows = asked.predictor, asked.predictor.card, settings.max_rows
    structure = Structure.of(values=settings.max_values, rows=max_rows, features=len(card.features))

    def read() -> tuple[Prepared, InferRequest, dict[str, bool]]:
        header, binary = _split(headers, body)
        sent = codec.checked(_document(header, structure))
        outputs, options = codec.wanted(sent, card), codec.options(sent)
        rows = codec.rows(sent, binary, card, max_rows=max_rows)
        return service.prepare(predictor, rows, options), sent, outputs

    prepared, sent, outputs = await service.read(body, read)
    asked.held.take(prepared.memory_bytes)
    answer = await service.predict(prepared, timeout_seconds=_timeout_seconds(headers, sent))
    pieces, binary = codec.encode(answer, outputs, sent.id)
    if not any(outputs.values()):
        return Reply(pieces)
    content = b"".join(pieces)
    parts = (
        part[at : at + PART_BYTES] for part in binary for at in range(0, len(part), PART_BYTES)
    )
    length = ((HEADER_LENGTH, str(len(content))),)
    return Reply(_gathered(chain((content,), parts)), BINARY_TYPE, length)


def _gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, with short ones joined: most answers are one piece."""
    found = b""
    for part in parts:
        found += part
        if len(found) >= PART_BYTES:
            yield found
            found = b""
    if found:
        yield found


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


def _document(content: bytes, structure: Structure) -> Any:
    """The JSON document, with the checks of the native protocol."""
    if not content.strip():
        raise NotJson("the body has no JSON; send an object with 'inputs'")
    return parse(content, structure)


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
