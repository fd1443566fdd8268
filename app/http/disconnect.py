"""Middleware that cancels the handler of a request when the client disconnects."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE_SECONDS = 0.02  # most requests take less time, and need no watcher


class Disconnect:
    """Cancels the handler of a request if the client disconnects before the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch the connection from GRACE_SECONDS after the end of the body until the answer."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        watch = _Watch(receive)
        try:
            await self.app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.left:
                raise
            watch.task.uncancel()
        finally:
            watch.end()


class _Watch:
    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.left = False
        self._receive = receive
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            loop = asyncio.get_running_loop()
            self._timer = self._timer or loop.call_later(GRACE_SECONDS, self._begin)
        return message

    def end(self) -> None:
        self._ended = True
        if self._timer:
            self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def _begin(self) -> None:
        if not self._ended:
            self._watcher = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._ended:
            self.left = True
            self.task.cancel()
