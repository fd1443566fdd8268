"""The worker thread, which computes: it has a name, lives long, and is replaced if it dies."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from app.errors import NotReady

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def answer(self, result: Any, error: BaseException | None = None) -> None:
        """Pass the result to the event loop, if the event loop still exists."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        """Set the result of the future; the event loop calls this."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Worker:
    """A thread that runs one function after another.

    The thread is a daemon: a computation that never ends does not keep the process running.
    """

    def __init__(self, name: str, initialize: Callable[[], None]) -> None:
        self._name = name
        self._initialize = initialize
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._initialized = self._stopped = False

    @property
    def alive(self) -> bool:
        """Whether the thread runs and has been initialised."""
        return self._initialized and self._running

    def start(self) -> None:
        """Start the thread, or a new one if it has died."""
        self._stopped = False
        if not self._running:
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    async def run(self, function: Callable[[], T], *, here: bool = False) -> T:
        """Run `function` in the thread and return its result; raises NotReady if the thread dies.

        `here`: run the function on the event loop, because it is short. A thread beside a busy
        event loop passes the interpreter lock back and forth around every tensor operation: there a
        batch of 64 rows took four times as long.
        """
        self.start()
        if here and self.alive:
            return function()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(function, loop, future))
        try:
            return await future
        finally:
            if not self._stopped:
                self.start()  # a new thread, if the function ended the old one

    def stop(self, timeout_seconds: float) -> None:
        """End the thread after the function that it runs; wait for the end at most that long."""
        self._stopped = True
        if self._thread is not None and self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join(timeout_seconds)

    @property
    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        job: _Job | None = None
        try:
            self._initialize()
            self._initialized = True
            while (job := self._jobs.get()) is not None:
                try:
                    result = job.function()
                except Exception as error:
                    job.answer(None, error)
                else:
                    job.answer(result)
        except SystemExit:
            pass  # the thread ends, and `finally` reports it
        finally:
            self._initialized = False
            if job is not None:
                self._thread = None  # `start` makes a new one
                job.answer(None, NotReady("the computing thread died; try again"))
