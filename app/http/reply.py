"""The answer to a prediction request: mostly JSON, sent without the framework's response class."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from starlette.types import Scope, Send

JSON = "application/json"
BLOCK_NUMBERS = 8_192  # of an answer: a piece of so many is encoded in a few milliseconds


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, media type, and `headers` in addition to its length and type.

    A body that is too large to be encoded at once has several `pieces`, made one after the other
    as the client reads them.
    """

    pieces: Iterable[bytes]
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200

    async def send(self, scope: Scope, send: Send) -> None:
        """Send the reply as the answer to the request."""
        pieces: Iterator[bytes] = iter(self.pieces)
        first, second = next(pieces, b""), next(pieces, None)
        if second is not None and scope["http_version"] == "1.0":  # its clients know no chunks
            first, second = b"".join(chain((first, second), pieces)), None
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        if second is None:
            headers.append((b"content-length", str(len(first)).encode()))
        headers.append((b"content-type", self.media_type.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": second is not None})
        while second is not None:
            piece, second = second, next(pieces, None)
            await send(
                {"type": "http.response.body", "body": piece, "more_body": second is not None}
            )
            await asyncio.sleep(0)  # the server writes the piece, and serves others
