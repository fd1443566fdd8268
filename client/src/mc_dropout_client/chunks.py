"""A large request as several small ones, whose answers are one: same seed, same order.

The first chunk is asked alone: its answer tells which version answers, whether masks are shared,
and how many rows the server accepts. A few workers at a time ask for the rest. A chunk that exceeds
a limit of the server is halved, and later chunks are as small.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mc_dropout_client.answers import Answer, Prediction, answer_of
from mc_dropout_client.asking import Asker, Deadline
from mc_dropout_client.errors import ClientError, UnexpectedAnswer
from mc_dropout_client.flow import Flow, together

SEEDS = 2**63


@dataclass(slots=True)
class Plan:
    """Which rows are still to be asked for, and the answers so far; several threads may share it.

    `first` is the number of the first row, where the rows are part of a longer table.
    """

    rows: Sequence[Any]
    size: int
    first: int = 0
    _left: deque[tuple[int, int]] = field(default_factory=deque)
    _answers: dict[int, Answer] = field(default_factory=dict)
    _refused: dict[str, int] = field(default_factory=dict)  # the fewest rows, by message
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._left.append((0, len(self.rows)))

    @property
    def chunks_left(self) -> int:
        """How many chunks are left, of the size that is known to be accepted."""
        return sum(-(-(stop - start) // self.size) for start, stop in self._left)

    def take(self) -> tuple[int, int] | None:
        """The next chunk, start and stop; None if none is left."""
        with self._lock:
            if not self._left:
                return None
            start, stop = self._left.popleft()
            if stop - start > self.size:
                self._left.appendleft((start + self.size, stop))
                stop = start + self.size
            return start, stop

    def halve(self, start: int, stop: int, error: ClientError) -> None:
        """Take the chunk back, to be asked in halves; raises the error if that cannot help."""
        count, message = stop - start, str(error)
        with self._lock:
            same = error.code == "limit_exceeded" and self._refused.get(message, 0) > count
            if count < 2 or same:  # what half the rows do not change is no limit of rows
                raise error.moved(self.first + start)
            self._refused[message] = count
            self.size = min(self.size, -(-count // 2))
            self._left.appendleft((start, stop))

    def keep(self, start: int, answer: Answer) -> None:
        """Keep the answer to a chunk; raises UnexpectedAnswer if another version has answered."""
        with self._lock:
            before = next(iter(self._answers.values()), answer)
            if answer.model != before.model:
                raise changed(before, answer)
            self._answers[start] = answer

    def result(self) -> Answer:
        """The one answer to all rows."""
        parts = [answer for _, answer in sorted(self._answers.items())]
        predictions: list[Prediction] = [each for part in parts for each in part.predictions]
        met = all(part.stopped == "tolerance" for part in parts)
        return replace(
            parts[0],
            predictions=predictions,
            passes=max(part.passes for part in parts),
            stopped="tolerance" if met else "passes",
        )


def changed(before: Answer, after: Answer) -> UnexpectedAnswer:
    """The error that half of the rows would be predicted by another model."""
    return UnexpectedAnswer(
        f"the server changed its model from {before.model.version} to {after.model.version} "
        "between two chunks; ask again",
        code="model_changed",
    )


@dataclass(frozen=True, slots=True)
class Chunked:
    """A request for predictions, of any size."""

    asker: Asker
    path: str
    options: dict[str, Any]  # of the request, with a seed
    deadline: Deadline
    concurrency: int

    def predict(self, plan: Plan) -> Flow[Answer]:
        """The answer to all rows of the plan."""
        masks, answer = self.options.get("masks"), None
        while answer is None and (piece := plan.take()):
            answer = yield from self._ask(plan, *piece, masks)
        shared = None if answer is None else answer.masks
        workers = min(self.concurrency, plan.chunks_left)
        yield from together([self._work(plan, shared) for _ in range(workers)])
        return plan.result()

    def _work(self, plan: Plan, masks: str | None) -> Flow[None]:
        while piece := plan.take():
            yield from self._ask(plan, *piece, masks)

    def _ask(self, plan: Plan, start: int, stop: int, masks: str | None) -> Flow[Answer | None]:
        """The answer to a chunk; None if it was too large, and goes back to the plan."""
        sent = {**self.options, "rows": plan.rows[start:stop]}
        if masks == "per_row":  # the masks of a row depend on its number in the request
            sent["seed"] = (sent["seed"] + plan.first + start) % SEEDS
        try:
            document = yield from self.asker.ask("POST", self.path, sent, self.deadline)
        except ClientError as error:
            if not self._is_too_large(error):
                raise error.moved(plan.first + start) from None
            plan.halve(start, stop, error)
            return None
        answer = replace(answer_of(document), seed=self.options["seed"])
        if len(answer) != stop - start:
            raise UnexpectedAnswer(f"{len(answer)} predictions for {stop - start} rows")
        plan.keep(start, answer)
        return answer

    def _is_too_large(self, error: ClientError) -> bool:
        """Whether fewer rows may be accepted; a server's own time limit is one, a deadline not."""
        if error.status == 504:
            return self.deadline.at is None
        return error.status == 413 or error.code == "limit_exceeded"
