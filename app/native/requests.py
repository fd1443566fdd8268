"""Read a request of the native protocol: its bytes, its JSON, the fields of its schema."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

from fastapi import Path
from pydantic import BaseModel, ValidationError

from app.errors import MAX_DETAILS, InvalidRequest, NotJson
from app.http import (
    Asked,
    Structure,
    check_json_type,
    headers_of,
    parse,
    read_bytes,
    timeout_seconds,
)
from app.messages import cut, expected, nearest, shown
from app.native.schemas import USAGE
from app.service import Service
from app.settings import Settings
from model import Detail

ModelPath = Annotated[str, Path(description="A name from `GET /models`.", examples=["diabetes"])]
Request = TypeVar("Request", bound=BaseModel)


class Work(Protocol):
    """A checked request, which will take memory."""

    @property
    def memory_bytes(self) -> int:
        """About the bytes that the request and its answer take."""
        ...


Prepared = TypeVar("Prepared", bound=Work)


class Server(NamedTuple):
    """What all routes need: the use cases, and the limits."""

    service: Service
    settings: Settings


async def received(
    asked: Asked, server: Server, prepare: Callable[[Any], Prepared]
) -> tuple[Prepared, float | None]:
    """What `prepare` makes of the JSON document, and the seconds that the client waits.

    The memory that the prepared request needs is held for it.
    """
    headers, (service, settings) = headers_of(asked.scope), server
    check_json_type(headers)
    body = await read_bytes(headers, asked.receive, settings.max_body_bytes, asked.held)
    features = len(asked.predictor.card.features)
    structure = Structure.of(values=settings.max_values, rows=settings.max_rows, features=features)
    try:
        seconds = timeout_seconds(headers)
        prepared = await service.read(body, lambda: prepare(parse(body, structure)))
    except RecursionError as error:  # a value in the message has a thousand levels
        raise NotJson("the body is nested too deeply") from error
    asked.held.take(prepared.memory_bytes)
    return prepared, seconds


def checked(document: Any, kind: type[Request]) -> Request:
    """The document as a request of that kind; raises InvalidRequest with every fault."""
    if type(document) is dict:  # before the validation, which would list a million unknown keys
        unknown = (key for key in document if key not in kind.model_fields)
        if details := [_unknown(key, kind) for key in islice(unknown, MAX_DETAILS)]:
            raise InvalidRequest(f"{details[0].field}: {details[0].message}", details)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
    details = [
        Detail(".".join(map(str, fault["loc"])) if fault["loc"] else "body", _sentence(fault, kind))
        for fault in faults
    ]
    first = details[0]
    raise InvalidRequest(f"{first.field}: {first.message}", details)


def _unknown(key: str, kind: type[BaseModel]) -> Detail:
    like = nearest(key, kind.model_fields)
    return Detail(cut(key), f"is not known{like}; a request has {_known(kind)}")


def _sentence(fault: Any, kind: type[BaseModel]) -> str:
    match fault["type"]:
        case "missing":
            return f"is missing; send {USAGE[kind]} with any of {_known(kind)}"
        case "model_type":
            return f"must be a JSON object such as {USAGE[kind]}"
        case _:
            return f"{expected(fault)}, not {shown(fault['input'])}"


def _known(kind: type[BaseModel]) -> str:
    first = [name for name, field in kind.model_fields.items() if field.is_required()]
    return ", ".join([*first, *(name for name in kind.model_fields if name not in first)])
