"""The client: flows carried out one step after another, and chunks by a few threads."""

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
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


class Client:
    """Asks the service at `url`, which may have a path prefix; threads may share a client.

    `key`: an API key. `timeout_seconds`: how long a call may last, chunks and attempts together.
    `patience_seconds`: how long a request is sent again while the server is busy or restarts.
    `http`: an `httpx.Client` of your own, for proxies and certificates; you close it.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_seconds: float | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        concurrency: int = CONCURRENCY,
        rows_per_request: int = ROWS_PER_REQUEST,
        http: httpx.Client | None = None,
    ) -> None:
        self._calls = Calls(
            Settings(key, timeout_seconds, patience_seconds, concurrency, rows_per_request)
        )
        self._url = address(url)
        self._http = http or httpx.Client()
        self._owned = http is None

    @overload
    def predict(self, rows: F, **options: Unpack[PredictOptions]) -> F: ...
    @overload
    def predict(self, rows: Rows, **options: Unpack[PredictOptions]) -> Answer: ...
    def predict(self, rows: Any, **options: Unpack[PredictOptions]) -> Any:
        """The answer for rows; for a frame of pandas or polars, a frame with flat columns.

        Any number of rows: the client asks in chunks, under one seed. With shared masks the numbers
        are those of one request. Raises ClientError.
        """
        return self._run(self._calls.predict(rows, options))

    def sweep(self, row: Row, feature: str, **options: Unpack[SweepOptions]) -> Sweep:
        """Predictions of one row at many values of one feature, under the same masks."""
        return self._run(self._calls.sweep(row, feature, options))

    def explain(self, row: Row, **options: Unpack[ExplainOptions]) -> Explanation:
        """Where the variance of a row comes from: by dropout layer, by feature."""
        return self._run(self._calls.explain(row, options))

    def landscape(self, name: str | None = None) -> Landscape:
        """The stored landscape of a model; raises NotFound if there is none."""
        return self._run(self._calls.landscape(name))

    def models(self) -> ModelList:
        """The models that are served, the default model first."""
        return self._run(self._calls.models())

    def model(self, name: str | None = None) -> ModelCard:
        """The card of a model, of the default one without a name."""
        return self._run(self._calls.model(name))

    def ready(self) -> bool:
        """Whether the server is there and predicts; asked once, without patience."""
        return self._run(self._calls.ready())

    def close(self) -> None:
        """Close the connections."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T], stopped: threading.Event | None = None) -> T:
        """The result of a flow, which ends at its next step where `stopped` is set."""
        stopped = stopped or threading.Event()
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Send):
                result = self._send(step)
            elif isinstance(step, Wait):
                stopped.wait(step.seconds)
            else:
                self._together(step.flows)
            if stopped.is_set():
                raise _Stopped

    def _together(self, flows: Sequence[Flow[Any]]) -> None:
        """Run the flows in threads, until all have ended or one has failed."""
        stopped = threading.Event()
        with ThreadPoolExecutor(max(1, len(flows)), "mc-dropout-client") as threads:
            tasks = [threads.submit(self._worker, flow, stopped) for flow in flows]
            try:
                failed = [task.exception() for task in tasks]
            except BaseException:
                stopped.set()
                raise
        for error in failed:
            if error is not None and not isinstance(error, _Stopped):
                raise error

    def _worker(self, flow: Generator[Any, Any, None], stopped: threading.Event) -> None:
        try:
            self._run(flow, stopped)
        except BaseException:
            stopped.set()
            raise

    def _send(self, step: Send) -> Reply | ClientError:
        try:
            reply = self._http.request(step.method, self._url + step.path, **options_of(step))
        except httpx.RequestError as error:
            return unanswered(error, self._url)
        return Reply(reply.status_code, reply.headers, reply.content)


class _Stopped(Exception):
    """Another flow of the call has failed."""
