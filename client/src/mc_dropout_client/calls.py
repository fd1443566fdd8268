"""Every call of the client as a flow: what it sends, and what it makes of the answer."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from mc_dropout_client.answers import (
    Answer,
    Explanation,
    Landscape,
    ModelCard,
    ModelList,
    Sweep,
    answer_of,
)
from mc_dropout_client.asking import Asker, Deadline
from mc_dropout_client.chunks import SEEDS, Chunked, Plan
from mc_dropout_client.decoding import decoded
from mc_dropout_client.flow import Flow, Reply, send
from mc_dropout_client.tables import Row, Table, for_model, frame_of, is_frame, table_of

VERSION = "0.1.0"
PATIENCE_SECONDS = 120.0
CONCURRENCY = 4
ROWS_PER_REQUEST = 2_000
READY_SECONDS = 5.0


class Call(TypedDict, total=False):
    """What every call takes: which model, and how long the call may last in all."""

    model: str | None
    timeout_seconds: float | None


class PredictOptions(Call, total=False):
    """The options of a prediction; the service's page "HTTP" says what each means."""

    passes: int | None
    seed: int | None
    coverage: float
    estimator: Literal["plain", "reduced"] | None
    masks: Literal["shared", "per_row"] | None
    tolerance: float | None
    samples: bool
    largest_error: float | None
    label_set: Literal["lac", "aps", "raps"]


class SweepOptions(Call, total=False):
    """The options of a sweep."""

    values: Sequence[Any] | None
    points: int
    margin: float
    lines: int
    passes: int | None
    seed: int | None
    coverage: float
    estimator: Literal["plain", "reduced"] | None
    tolerance: float | None
    largest_error: float | None
    label_set: Literal["lac", "aps", "raps"]


class ExplainOptions(Call, total=False):
    """The options of an explanation."""

    of: str | None
    passes: int | None
    seed: int | None
    background_rows: int | None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a client asks.

    `patience_seconds`: how long a request is sent again to a server that is busy or restarts.
    `concurrency`: how many chunks of a large table are asked at the same time.
    `rows_per_request`: the rows of a chunk, fewer if the server accepts fewer.
    """

    key: str | None = None
    timeout_seconds: float | None = None
    patience_seconds: float = PATIENCE_SECONDS
    concurrency: int = CONCURRENCY
    rows_per_request: int = ROWS_PER_REQUEST

    def __post_init__(self) -> None:
        for name in ("concurrency", "rows_per_request"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.patience_seconds < 0:
            raise ValueError(f"patience_seconds must be 0 or more, not {self.patience_seconds}")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise ValueError("key must have printable ASCII characters only")


class Calls:
    """The flows of one client."""

    def __init__(self, settings: Settings) -> None:
        headers = {"user-agent": f"mc-dropout-client/{VERSION}"}
        if settings.key is not None:
            headers["authorization"] = f"Bearer {settings.key}"
        self.settings = settings
        self._asker = Asker(headers, settings.patience_seconds)

    def predict(self, rows: Any, given: Mapping[str, Any]) -> Flow[Any]:
        """The answer for rows, and a frame for a frame."""
        call = self._call(given, PredictOptions)
        answer = yield from self._answer(table_of(rows), call, 0)
        return frame_of(answer, rows) if is_frame(rows) else answer

    def predict_part(self, table: Table, first: int, given: Mapping[str, Any]) -> Flow[Answer]:
        """The answer for rows that are part of a longer table, from the row `first` on."""
        answer = yield from self._answer(table, self._call(given, PredictOptions), first)
        return answer

    def sweep(self, row: Row, feature: str, given: Mapping[str, Any]) -> Flow[Sweep]:
        """The sweep of a feature."""
        call = self._call(given, SweepOptions)
        (cells,) = table_of([row]).rows
        sent = {"row": cells, "feature": feature, **call.options}
        document = yield from self._asker.ask("POST", call.path("sweep"), sent, call.deadline)
        swept = answer_of(document, Sweep)
        assert isinstance(swept, Sweep)
        return swept

    def explain(self, row: Row, given: Mapping[str, Any]) -> Flow[Explanation]:
        """The explanation of a row."""
        call = self._call(given, ExplainOptions)
        (cells,) = table_of([row]).rows
        sent = {"row": cells, **call.options}
        document = yield from self._asker.ask("POST", call.path("explain"), sent, call.deadline)
        return decoded(Explanation, document)

    def landscape(self, name: str | None) -> Flow[Landscape]:
        """The stored landscape of a model."""
        deadline = Deadline.of(self.settings.timeout_seconds)
        path = f"{(yield from self._path(name, deadline))}/landscape"
        document = yield from self._asker.ask("GET", path, None, deadline)
        return decoded(Landscape, document)

    def models(self) -> Flow[ModelList]:
        """The models that are served."""
        deadline = Deadline.of(self.settings.timeout_seconds)
        return decoded(ModelList, (yield from self._asker.ask("GET", "/models", None, deadline)))

    def model(self, name: str | None) -> Flow[ModelCard]:
        """The card of a model."""
        card = yield from self._card(name, Deadline.of(self.settings.timeout_seconds))
        return card

    def ready(self) -> Flow[bool]:
        """Whether the server is there and predicts."""
        deadline = Deadline.of(self.settings.timeout_seconds or READY_SECONDS)
        sent = self._asker.request("GET", "/v2/health/ready", None, deadline)
        reply = yield from send(sent)
        return isinstance(reply, Reply) and reply.status == 200

    def _answer(self, table: Table, call: "_Call", first: int) -> Flow[Answer]:
        if table.columns is not None:
            table = for_model(table, (yield from self._card(call.model, call.deadline)))
        options = {**call.options}
        if options.get("seed") is None:  # one for all chunks, and for all attempts
            options["seed"] = secrets.randbelow(SEEDS)
        if not table.rows:  # the server says what it expects
            sent = {**options, "rows": []}
            return answer_of(
                (yield from self._asker.ask("POST", call.path("predict"), sent, call.deadline))
            )
        settings = self.settings
        chunked = Chunked(
            self._asker, call.path("predict"), options, call.deadline, settings.concurrency
        )
        plan = Plan(table.rows, settings.rows_per_request, first)
        return (yield from chunked.predict(plan))

    def _card(self, name: str | None, deadline: Deadline) -> Flow[ModelCard]:
        path = yield from self._path(name, deadline)
        document = yield from self._asker.ask("GET", path, None, deadline)
        return decoded(ModelCard, {**document, "whole": document})

    def _path(self, name: str | None, deadline: Deadline) -> Flow[str]:
        """The path of a named model, or of the default one."""
        if name is None:
            listed = yield from self._asker.ask("GET", "/models", None, deadline)
            name = decoded(ModelList, listed).default
        return _named(name)

    def _call(self, given: Mapping[str, Any], known: type[Any]) -> "_Call":
        """The call with these options; raises TypeError for an unknown one."""
        names = list(known.__annotations__)
        for name in given:
            if name not in names:
                raise TypeError(f"unknown option {name!r}; known are {', '.join(names)}")
        options = {
            name: value.tolist() if hasattr(value, "tolist") else value  # numpy's
            for name, value in given.items()
        }
        model = options.pop("model", None)
        seconds = options.pop("timeout_seconds", self.settings.timeout_seconds)
        return _Call(model, Deadline.of(seconds), options)


@dataclass(frozen=True, slots=True)
class _Call:
    model: str | None
    deadline: Deadline
    options: dict[str, Any]

    def path(self, verb: str) -> str:
        """The path of a verb, for the default model or a named one."""
        return f"/{verb}" if self.model is None else f"{_named(self.model)}/{verb}"


def _named(name: str) -> str:
    return f"/models/{quote(name, safe='')}"
