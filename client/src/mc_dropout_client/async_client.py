"""The client for asyncio: flows carried out by tasks."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx

from mc_dropout_client.answers import Answer, Explanation, Landscape, ModelCard, ModelList, Sweep
from mc_dropout_client.calls import (
    CONCURRENCY,
    PATIENCE_SECONDS,
    ROWS_PER_REQUEST,
    Calls,
    ExplainOptions,
    PredictOptions,
    Settings,
    SweepOptions,
)
from mc_dropout_client.errors import ClientError
from mc_dropout_client.flow import Flow, Reply, Send, Wait
from mc_dropout_client.tables import Frame, Row, Rows
from mc_dropout_client.transport import address, options_of, unanswered

T = TypeVar("T")
F = TypeVar("F", bound=Frame)


class AsyncClient:
    """`Client` for asyncio: the same arguments and calls; `http` is an `httpx.AsyncClient`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_seconds: float | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        concurrency: int = CONCURRENCY,
        rows_per_request: int = ROWS_PER_REQUEST,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.calls = Calls(
            Settings(key, timeout_seconds, patience_seconds, concurrency, rows_per_request)
        )
        self._url = address(url)
        self._http = http or httpx.AsyncClient()
        self._owned = http is None

    @overload
    async def predict(self, rows: F, **options: Unpack[PredictOptions]) -> F: ...
    @overload
    async def predict(self, rows: Rows, **options: Unpack[PredictOptions]) -> Answer: ...
    async def predict(self, rows: Any, **options: Unpack[PredictOptions]) -> Any:
        """The answer for rows, or a frame for a frame; see `Client.predict`."""
        return await self.run(self.calls.predict(rows, options))

    async def sweep(self, row: Row, feature: str, **options: Unpack[SweepOptions]) -> Sweep:
        """Predictions of one row at many values of one feature, under the same masks."""
        return await self.run(self.calls.sweep(row, feature, options))

    async def explain(self, row: Row, **options: Unpack[ExplainOptions]) -> Explanation:
        """Where the variance of a row comes from: by dropout layer, by feature."""
        return await self.run(self.calls.explain(row, options))

    async def landscape(self, name: str | None = None) -> Landscape:
        """The stored landscape of a model; raises NotFound if there is none."""
        return await self.run(self.calls.landscape(name))

    async def models(self) -> ModelList:
        """The models that are served, the default model first."""
        return await self.run(self.calls.models())

    async def model(self, name: str | None = None) -> ModelCard:
        """The card of a model, of the default one without a name."""
        return await self.run(self.calls.model(name))

    async def ready(self) -> bool:
        """Whether the server is there and predicts; asked once, without patience."""
        return await self.run(self.calls.ready())

    async def aclose(self) -> None:
        """Close the connections."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """The result of a flow of `calls`."""
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Send):
                result = await self._send(step)
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                await self._together(step.flows)

    async def _together(self, flows: Sequence[Flow[Any]]) -> None:
        """Run the flows as tasks, until all have ended or one has failed."""
        tasks = [asyncio.create_task(self.run(flow)) for flow in flows]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, step: Send) -> Reply | ClientError:
        try:
            reply = await self._http.request(step.method, self._url + step.path, **options_of(step))
        except httpx.RequestError as error:
            return unanswered(error, self._url)
        return Reply(reply.status_code, reply.headers, reply.content)
