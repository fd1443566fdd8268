"""Compress and decompress bodies with gzip and deflate."""

import asyncio
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from app.errors import NotJson

ENCODINGS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}  # zlib's `wbits`
PIECE_BYTES = 1 << 15  # of a compressed answer, sent at once
SMALLEST_BYTES = 512  # compressing fewer bytes costs more than it saves
_LEVEL = 1  # the fastest level; floats compress little at any level
_REFUSED = re.compile(r"q=0(\.0*)?$")


async def decompressed(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """The decompressed content, cut one byte after the limit; raises NotJson."""
    return await asyncio.to_thread(_inflated, body, encoding, limit_bytes)


def compressed(pieces: Iterable[bytes], accepted: str) -> tuple[Iterable[bytes], str | None]:
    """The content in an encoding that the header Accept-Encoding accepts, and its name or None.

    Each piece is compressed when it is asked for, in a few milliseconds.
    """
    encoding = encoding_of(accepted)
    pieces = iter(pieces)
    start = list(islice(pieces, 2))
    if encoding is None or sum(map(len, start)) < SMALLEST_BYTES:
        return chain(start, pieces), None
    return _deflated(chain(start, pieces), ENCODINGS[encoding]), encoding


def encoding_of(accepted: str) -> str | None:
    """The first encoding of the header Accept-Encoding that is known here."""
    return next((name for name in _names(accepted) if name in ENCODINGS), None)


def _deflated(pieces: Iterable[bytes], wbits: int) -> Iterator[bytes]:
    deflate, found = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits), b""
    for piece in pieces:
        found += deflate.compress(piece)
        if len(found) >= PIECE_BYTES:
            yield found
            found = b""
    yield found + deflate.flush()


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
