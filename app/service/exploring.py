"""The use case that predicts one row along one feature."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from app.service.models import Answer
from app.service.service import Prepared, Service
from model import (
    Axis,
    PredictOptions,
    Predictor,
    line_options,
    lines_of,
    sweep_axis,
    sweep_options,
)

LEAST_SECONDS = 1e-3  # a deadline that is over ends the second prediction, not the request's checks


@dataclass(frozen=True, slots=True)
class Points:
    """Where a sweep has its points, and how many passes it shows."""

    feature: str
    values: Sequence[Any] | None
    points: int
    margin: float
    lines: int

    @property
    def counted(self) -> tuple[str, int]:
        """The field that says how many points there are, and their number."""
        return ("points", self.points) if self.values is None else ("values", len(self.values))


@dataclass(frozen=True, slots=True)
class PreparedSweep:
    """A checked sweep: the prediction of all points, and that of the passes to show."""

    axis: Axis
    points: Prepared
    single: Prepared | None
    lines: int

    @property
    def memory_bytes(self) -> int:
        """About the bytes that both predictions take in memory."""
        return self.points.memory_bytes + (self.single.memory_bytes if self.single else 0)


@dataclass(frozen=True, slots=True)
class SweepAnswer:
    """The predictions along an axis, and the passes as lines."""

    axis: Axis
    answer: Answer
    lines: Any


def prepare_sweep(
    service: Service,
    predictor: Predictor,
    row: Any,
    asked: Points,
    options: PredictOptions,
) -> PreparedSweep:
    """A sweep, checked; raises NotReady, LimitExceeded and model.InputError."""
    service.check_rows(*asked.counted)
    axis = sweep_axis(
        predictor.card,
        row,
        asked.feature,
        values=asked.values,
        points=asked.points,
        margin=asked.margin,
    )
    chosen = sweep_options(predictor, options)
    points = service.prepare(predictor, axis.rows, chosen)
    single = None
    if asked.lines:
        single = service.prepare(predictor, axis.rows, line_options(chosen, asked.lines))
    return PreparedSweep(axis, points, single, asked.lines)


async def run_sweep(
    service: Service, prepared: PreparedSweep, *, timeout_seconds: float | None = None
) -> SweepAnswer:
    """The answer to a sweep that `prepare_sweep` has returned; raises as `Service.predict`."""
    started = perf_counter()
    answer = await service.predict(prepared.points, timeout_seconds=timeout_seconds)
    if prepared.single is None:
        return SweepAnswer(prepared.axis, answer, [])
    left = (
        None if timeout_seconds is None else max(1e-3, timeout_seconds - (perf_counter() - started))
    )
    single = await service.predict(prepared.single, timeout_seconds=left)
    return SweepAnswer(prepared.axis, answer, lines_of(single.predictions, prepared.lines))
