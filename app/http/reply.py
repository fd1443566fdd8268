"""Middleware that answers predictions at once, past the framework's routing.

Matching the path, an exit stack for dependencies that there are not, and the wrapping of handlers
that return what is a response already take the framework longer than parsing the body and encoding
the answer together. The routes stay: they are the documentation, and answer where a path prefix or
tracing needs the framework, with the same handlers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

JSON = "application/json"
TRACED = "fastapi.telemetry"  # in the scope of a request that the framework traces


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers, and `headers` beside its length and type."""

    content: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200

    def response(self) -> Response:
        """The same for the framework."""
        return Response(self.content, self.status, dict(self.headers), self.media_type)

    async def send(self, send: Send) -> None:
        """The same without it."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        headers += [
            (b"content-length", str(len(self.content)).encode()),
            (b"content-type", self.media_type.encode()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})


Predict = Callable[[Scope, Receive, str | None], Awaitable[Reply]]
Infer = Callable[[Scope, Receive, str, str | None], Awaitable[Reply]]


class Lane:
    """Replies with `predict` and `infer`, or raises what the layers outside of this one answer."""

    def __init__(self, app: ASGIApp, predict: Predict, infer: Infer) -> None:
        self.app = app
        self._predict = predict
        self._infer = infer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a prediction; let everything else go its way."""
        answered = None
        if scope["type"] == "http" and scope["method"] == "POST" and TRACED not in scope:
            answered = self._answered(scope, receive)
        if answered is None:
            await self.app(scope, receive, send)
        else:
            await (await answered).send(send)

    def _answered(self, scope: Scope, receive: Receive) -> Awaitable[Reply] | None:
        """The reply to a prediction, to be awaited; None where the path is none of one."""
        match scope["path"].split("/"):
            case ["", "predict"]:
                return self._predict(scope, receive, None)
            case ["", "models", name, "predict"] if name:
                return self._predict(scope, receive, name)
            case ["", "v2", "models", name, "infer"] if name:
                return self._infer(scope, receive, name, None)
            case ["", "v2", "models", name, "versions", version, "infer"] if name and version:
                return self._infer(scope, receive, name, version)
            case _:
                return None
