"""Compress and decompress bodies with gzip and deflate."""

import asyncio
import gzip
import re
import zlib

from app.errors import NotJson

ENCODINGS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}  # zlib's `wbits`
SMALLEST_BYTES = 512  # compressing fewer bytes costs more than it saves
_LEVEL = 1  # the fastest level; floats compress little at any level
_REFUSED = re.compile(r"q=0(\.0*)?$")


async def decompressed(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """The decompressed content, cut one byte after the limit; raises NotJson."""
    return await asyncio.to_thread(_inflated, body, encoding, limit_bytes)


async def compress(content: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The content in an encoding that the header Accept-Encoding accepts, and its name or None."""
    encoding = next((name for name in _names(accepted) if name in ENCODINGS), None)
    if encoding is None or len(content) < SMALLEST_BYTES:
        return content, None
    if encoding == "gzip":
        return await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0), encoding
    return await asyncio.to_thread(zlib.compress, content, _LEVEL), encoding


def _inflated(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    inflate = zlib.decompressobj(ENCODINGS[encoding])
    try:
        content = inflate.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise NotJson(f"the body is not {encoding} data") from error
    if len(content) > limit_bytes:
        return content
    if not inflate.eof:
        raise NotJson(f"the {encoding} data is cut short")
    if inflate.unused_data:
        raise NotJson(f"there are bytes after the end of the {encoding} data")
    return content


def _names(accepted: str) -> list[str]:
    """The encodings that the client accepts, in the order of the header."""
    parts = [part.strip().lower() for part in accepted.split(",")]
    return [part.partition(";")[0].strip() for part in parts if not _REFUSED.search(part)]
