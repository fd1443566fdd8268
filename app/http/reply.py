"""What a prediction answers: bytes that are JSON mostly, sent without the framework's response."""

from dataclasses import dataclass

from starlette.types import Send

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, a body of one type, and `headers` beside its length and type."""

    content: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200

    async def send(self, send: Send) -> None:
        """Answer with it."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        headers += [
            (b"content-length", str(len(self.content)).encode()),
            (b"content-type", self.media_type.encode()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})
