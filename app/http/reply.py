"""The answer to a prediction request: mostly JSON, sent without the framework's response class."""

from dataclasses import dataclass

from starlette.types import Send

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, media type, and `headers` in addition to its length and type."""

    content: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200

    async def send(self, send: Send) -> None:
        """Send the reply as the answer to the request."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        headers += [
            (b"content-length", str(len(self.content)).encode()),
            (b"content-type", self.media_type.encode()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})
