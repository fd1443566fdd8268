"""The use cases that show what a prediction depends on: sweeps and explanations."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from app.service.limits import Demand, values_of
from app.service.models import Answer
from app.service.service import Prepared, Service
from model import (
    EXPLAIN_PASSES,
    Axis,
    Card,
    Explanation,
    ExplanationPlan,
    PredictOptions,
    Predictor,
    line_options,
    lines_of,
    plan_explanation,
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
    def counted(self) -> Demand:
        """The number of points, and the field that chooses it."""
        if self.values is None:
            return Demand("rows", "points", self.points, "points")
        return Demand("rows", "values", len(self.values), "values")


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
    service.check(asked.counted)
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
        samples = len(axis.rows) * min(asked.lines, chosen.passes) * values_of(predictor.card)
        service.check(Demand("samples", "samples (points x lines)", samples, "lines"))
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


@dataclass(frozen=True, slots=True)
class Question:
    """What to explain, and how precisely; None takes the default."""

    of: str | None
    passes: int | None
    seed: int | None
    background_rows: int | None


@dataclass(frozen=True, slots=True)
class ExplanationAnswer:
    """The explanation of a row, and the card of the model."""

    card: Card
    explanation: Explanation


def prepare_explanation(
    service: Service, predictor: Predictor, row: Any, asked: Question
) -> ExplanationPlan:
    """An explanation, checked; raises NotReady, LimitExceeded and model.InputError.

    The default numbers of passes and background rows keep within the limits.
    """
    limits = service.settings
    most = min(EXPLAIN_PASSES, limits.max_passes)
    plan = plan_explanation(
        predictor,
        row,
        of=asked.of,
        passes=most if asked.passes is None else asked.passes,
        seed=asked.seed,
        background_rows=asked.background_rows,
        most_row_passes=limits.max_row_passes,
    )
    service.check(
        Demand("passes", "passes", plan.passes, "passes"),
        Demand("row_passes", "rows x passes", plan.row_passes, "passes"),
    )
    return plan


async def run_explanation(
    service: Service, plan: ExplanationPlan, *, timeout_seconds: float | None = None
) -> ExplanationAnswer:
    """The explanation that is planned; raises as `Service.predict`."""
    found = await service.explain(plan, timeout_seconds=timeout_seconds)
    return ExplanationAnswer(plan.predictor.card, found)
