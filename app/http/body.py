"""Read a request's body: limit its size, decompress it, and parse it as strict JSON."""

import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.errors import BodyTooLarge, DuplicateKey, NotFinite, NotJson, WrongContentType
from app.http.compression import ENCODINGS, decompressed
from app.http.place import place
from model import Detail

LEVELS = 3  # of objects in an Open Inference request: the request, its tensors, their parameters
_USUAL = "application/json"
_JSON = re.compile(r"application/(json|[\w.+-]+\+json)\s*(;|$)", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf)", re.IGNORECASE)


async def read_json(headers: Mapping[str, str], receive: Receive, limit_bytes: int) -> Any:
    """The JSON document in a request's body; raises as `read_bytes` and `parse` do."""
    content_type = headers.get("content-type", _USUAL)
    if content_type != _USUAL and not _JSON.match(content_type.strip()):
        raise WrongContentType(
            f"the content type is {content_type[:80]!r}; send the header "
            "'Content-Type: application/json'"
        )
    return parse(await read_bytes(headers, receive, limit_bytes))


async def read_bytes(headers: Mapping[str, str], receive: Receive, limit_bytes: int) -> bytes:
    """A request's body, decompressed. It has at most `limit_bytes` bytes before and after that.

    Raises BodyTooLarge as soon as the body exceeds the limit, so that a few bytes cannot grow into
    gigabytes; WrongContentType for an unknown encoding; NotJson for broken compressed data;
    ClientDisconnect if the client leaves before the end of the body.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in (*ENCODINGS, "identity"):
        raise WrongContentType(
            f"the content encoding {encoding[:80]!r} is not supported; send gzip, deflate or none"
        )
    body = await _received(headers, receive, limit_bytes)
    if encoding == "identity":
        return body
    content = await decompressed(body, encoding, limit_bytes)
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    return content


def parse(body: bytes) -> Any:
    """The JSON document in `body`; raises NotJson, NotFinite and DuplicateKey."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _reason(body, error) from None
    # Outside of strings, every key has one colon. The parsed document has a duplicate key once. So
    # more colons than keys mean a duplicate key, or a colon in a string: only then parse again.
    if not _has_keys(document, body.count(b":")):
        _refuse_duplicates(body)
    return document


async def _received(headers: Mapping[str, str], receive: Receive, limit_bytes: int) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has more than {limit_bytes} bytes (MCD_MAX_BODY_BYTES); send fewer rows at once"
    )


def _reason(body: bytes, error: orjson.JSONDecodeError) -> NotJson | NotFinite:
    if not body.strip():
        return NotJson("the body is empty; send a JSON object with 'rows'")
    start = error.pos - 1 if error.doc[error.pos - 1 : error.pos] in ("-", "+") else error.pos
    literal = error.doc[start : start + 24]
    if error.msg.startswith("number is infinity") or _NOT_FINITE.match(literal):
        number = re.split(r"[\s,\]}]", literal, maxsplit=1)[0]
        where = place(error.doc, start)
        said = f"{number!r} at character {start} is not a finite number"
        return NotFinite(f"{where}: {said}" if where else said, [Detail(where or "body", said)])
    return NotJson(f"the body is not JSON: {error.msg} at character {error.pos}")


def _has_keys(document: Any, count: int) -> bool:
    """Whether the objects in the first LEVELS levels of the document have `count` keys in all."""
    objects, found = [document] if type(document) is dict else [], 0
    for _ in range(LEVELS):
        found += sum(map(len, objects))
        if found >= count:
            break
        values = [value for each in objects for value in each.values()]
        lists = [value for value in values if type(value) is list]
        objects = [each for each in chain(values, *lists) if type(each) is dict]
    return found == count


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError as error:
        raise NotJson("the body is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise DuplicateKey(
                f"the key {key[:80]!r} appears twice in one object",
                [Detail(key, "appears twice in one object")],
            )
        seen.add(key)
