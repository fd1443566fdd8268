"""Both clients with one face, so that each test asks with either."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mc_dropout_client import AsyncClient, Client

Connect = Callable[..., Any]  # url, options -> a context manager of an object with the calls


@contextmanager
def connect(url: str, **options: Any) -> Iterator[Client]:
    """The client of threads."""
    with Client(url, **options) as client:
        yield client


@contextmanager
def connect_async(url: str, **options: Any) -> Iterator["Driven"]:
    """The client of asyncio, in an event loop of its own."""
    with asyncio.Runner() as runner:
        client = AsyncClient(url, **options)
        try:
            yield Driven(client, runner)
        finally:
            runner.run(client.aclose())


class Driven:
    """Calls an asynchronous client as if it were not."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)
        return lambda *given, **options: self._runner.run(call(*given, **options))
