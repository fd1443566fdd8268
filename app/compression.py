"""Bodies that travel compressed: gzip and deflate, with one limit on both sides of it."""

import asyncio
import gzip
import re
import zlib

from starlette.requests import Request

from app.errors import BodyTooLarge, NotJson, WrongContentType

SMALLEST_BYTES = 512  # below this, compressing costs more than it saves
_LEVEL = 1  # floats compress little at any level, and this one is the fastest
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_REFUSED = re.compile(r"q=0(\.0*)?$")


async def read_bytes(request: Request, limit_bytes: int) -> bytes:
    """A request's body, decompressed; neither form of it may have more than `limit_bytes` bytes.

    Raises BodyTooLarge as soon as that is known, so that a few bytes cannot grow into gigabytes.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in (*_WINDOW, "identity"):
        raise WrongContentType(
            f"the content encoding {encoding[:80]!r} is not supported; send gzip, deflate or none"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    if encoding == "identity":
        return bytes(body)
    return await asyncio.to_thread(_inflated, bytes(body), encoding, limit_bytes)


async def compress(content: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The content in an encoding of the header Accept-Encoding, and that encoding's name."""
    encoding = next((name for name in _names(accepted) if name in _WINDOW), None)
    if encoding is None or len(content) < SMALLEST_BYTES:
        return content, None
    if encoding == "gzip":
        return await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0), encoding
    return await asyncio.to_thread(zlib.compress, content, _LEVEL), encoding


def _inflated(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    inflate = zlib.decompressobj(_WINDOW[encoding])
    try:
        content = inflate.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise NotJson(f"the body is not {encoding} data") from error
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    if not inflate.eof:
        raise NotJson(f"the {encoding} data is cut short")
    if inflate.unused_data:
        raise NotJson(f"there are bytes after the end of the {encoding} data")
    return content


def _names(accepted: str) -> list[str]:
    """The encodings that a client takes, in its order."""
    parts = [part.strip().lower() for part in accepted.split(",")]
    return [part.partition(";")[0].strip() for part in parts if not _REFUSED.search(part)]


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has more than {limit_bytes} bytes (MCD_MAX_BODY_BYTES); send fewer rows at once"
    )
