"""Read a request's body: limit its size, decompress it, and parse it as strict JSON."""

import json
import math
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
from app.http.structure import UNCOUNTED_BYTES, Structure, counted_outside_strings
from app.service import Holding
from model import Detail

LEVELS = 4  # of an Open Inference request: the request, its inputs, a tensor, its parameters
USUAL_RATIO, USUAL_BYTES = 16, 4096  # of content to its compressed form: JSON has 2 to 10
_USUAL = "application/json"
_JSON = re.compile(r"application/(json|[\w.+-]+\+json)\s*(;|$)", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf)", re.IGNORECASE)


async def read_bytes(
    headers: Mapping[str, str], receive: Receive, limit_bytes: int, held: Holding
) -> bytes:
    """A request's body, decompressed. It has at most `limit_bytes` bytes before and after that.

    `held` counts the bytes as they arrive. Raises BodyTooLarge as soon as the body exceeds the
    limit, so that a few bytes cannot grow into gigabytes; Overloaded; WrongContentType for an
    unknown encoding; NotJson for broken compressed data; ClientDisconnect if the client leaves
    before the end of the body.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in (*ENCODINGS, "identity"):
        raise WrongContentType(
            f"the content encoding {encoding[:80]!r} is not supported; send gzip, deflate or none"
        )
    body = await _received(headers, receive, limit_bytes, held)
    if encoding == "identity":
        return body
    content = await _decompressed(body, encoding, limit_bytes, held)
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    held.take(len(content))
    return content


def check_json_type(headers: Mapping[str, str]) -> None:
    """Raise WrongContentType if the body is declared to be something else than JSON."""
    content_type = headers.get("content-type", _USUAL)
    if content_type != _USUAL and not _JSON.match(content_type.strip()):
        raise WrongContentType(
            f"the content type is {content_type[:80]!r}; send the header "
            "'Content-Type: application/json'"
        )


def parse(body: bytes, structure: Structure) -> Any:
    """The JSON document in `body`; raises LimitExceeded, NotJson, NotFinite and DuplicateKey."""
    structure.check(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _reason(body, error) from None
    # Outside of strings, every key has one colon. The parsed document has a duplicate key once. So
    # more colons than keys mean a duplicate key, or a colon in a string: only then look closer.
    count = body.count(b":")
    if _keys(document, count, LEVELS) != count:
        _refuse_duplicates(body, document)
    return document


async def _received(
    headers: Mapping[str, str], receive: Receive, limit_bytes: int, held: Holding
) -> bytes:
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
        held.take(size)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def _decompressed(body: bytes, encoding: str, limit_bytes: int, held: Holding) -> bytes:
    """The content, cut one byte after the limit. How long it is shows only when it is there: so
    hold the bytes of the usual ratio first, and those of the limit if they are not enough."""
    for most in (min(USUAL_RATIO * len(body) + USUAL_BYTES, limit_bytes), limit_bytes):
        held.take(most)
        content = await decompressed(body, encoding, most)
        if len(content) <= most:
            break
    return content


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


def _keys(document: Any, enough: int, levels: float = math.inf) -> int:
    """The number of keys in the objects of the document's first levels; it stops at `enough`."""
    level, found, nested = 1, 0, [document]
    while True:
        objects = [value for value in nested if type(value) is dict]
        found += sum(map(len, objects))
        if found >= enough or not nested or level >= levels:
            return found
        lists = [value for value in nested if type(value) is list]
        values = chain(*(each.values() for each in objects), *lists)
        nested = [value for value in values if type(value) is dict or type(value) is list]
        level += 1


def _refuse_duplicates(body: bytes, document: Any) -> None:
    """Raise DuplicateKey if an object has a key twice; orjson has kept the last of its values."""
    _, colons, _ = counted_outside_strings(body)
    if _keys(document, colons) == colons:
        return
    if len(body) > UNCOUNTED_BYTES:  # the standard library would stop the event loop for long
        raise DuplicateKey("a key appears twice in one object of the body")
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
