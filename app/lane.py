"""Middleware that answers predictions at once, past the framework's routing.

Matching the path, an exit stack for dependencies that there are not, and the wrapping of handlers
that return what is a response already take the framework longer than parsing the body and encoding
the answer together. The routes of app/api/native.py stay: they are the documentation, and answer
where a path prefix or tracing needs the framework, with the same handler.
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

TRACED = "fastapi.telemetry"  # in the scope of a request that the framework traces

Predict = Callable[[Scope, Receive, str | None], Awaitable[bytes]]


class Lane:
    """`predict` answers with JSON, or raises what the layers outside of this one answer."""

    def __init__(self, app: ASGIApp, predict: Predict) -> None:
        self.app = app
        self._predict = predict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a prediction; let everything else go its way."""
        if scope["type"] != "http" or scope["method"] != "POST" or TRACED in scope:
            return await self.app(scope, receive, send)
        match scope["path"].split("/"):
            case ["", "predict"]:
                return await _answer(send, await self._predict(scope, receive, None))
            case ["", "models", name, "predict"] if name:
                return await _answer(send, await self._predict(scope, receive, name))
            case _:
                return await self.app(scope, receive, send)


async def _answer(send: Send, content: bytes) -> None:
    headers = [
        (b"content-length", str(len(content)).encode()),
        (b"content-type", b"application/json"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
