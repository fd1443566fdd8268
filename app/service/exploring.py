"""The use cases that show what a prediction depends on: sweeps and explanations."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from app.errors import DeadlineExceeded
from app.service.limits import Demand, of_prediction, values_of
from app.service.models import Answer
from app.service.service import Prepared, Service
from model import (
    Axis,
    Card,
    Detail,
    ExplainLimits,
    Explanation,
    ExplanationPlan,
    InputError,
    Lines,
    PredictOptions,
    Predictor,
    Resolved,
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
    lines: Lines


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
    service.check(*_demanded(predictor, axis, asked, chosen))
    rows, single = axis.encoded(), None
    if asked.lines:
        single = Prepared(predictor, rows, line_options(predictor, chosen, asked.lines))
    return PreparedSweep(axis, Prepared(predictor, rows, chosen), single, asked.lines)


def _demanded(predictor: Predictor, axis: Axis, asked: Points, chosen: Resolved) -> list[Demand]:
    """What the predictions of a sweep ask for, by the fields of its request."""
    card, count = predictor.card, len(axis.values)
    chooses = "points" if asked.values is None and axis.kind == "numeric" else "values"
    samples = count * min(asked.lines, chosen.passes) * values_of(card)
    return [
        *of_prediction(count, card, chosen, field=chooses),
        Demand("samples", "samples (points x lines)", samples, "lines"),
    ]


async def run_sweep(
    service: Service, prepared: PreparedSweep, *, timeout_seconds: float | None = None
) -> SweepAnswer:
    """The answer to a sweep that `prepare_sweep` has returned; raises as `Service.predict`."""
    try:
        answer, lines = await _predicted(service, prepared, timeout_seconds)
    except InputError as error:  # only the model knows that its output overflows
        raise _of_points(error) from None
    return SweepAnswer(prepared.axis, answer, lines)


async def _predicted(
    service: Service, prepared: PreparedSweep, timeout_seconds: float | None
) -> tuple[Answer, Lines]:
    """The predictions of the points, and the lines; both within the time."""
    started = perf_counter()
    answer = await service.predict(prepared.points, timeout_seconds=timeout_seconds, observed=False)
    if prepared.single is None:
        return answer, []
    limit = service.settings.request_timeout_seconds
    limit = min(limit, timeout_seconds or limit)
    left = max(LEAST_SECONDS, limit - (perf_counter() - started))
    try:
        single = await service.predict(prepared.single, timeout_seconds=left, observed=False)
    except DeadlineExceeded:
        message = f"no answer within {limit:g} seconds; ask for fewer points, passes or lines"
        raise DeadlineExceeded(message) from None
    return answer, lines_of(single.predictions, prepared.lines)


def _of_points(error: InputError) -> InputError:
    """The error with the place of a point instead of that of a row."""
    details = [
        Detail(each.field.replace("rows.", "values.", 1), each.message) for each in error.details
    ]
    return InputError(str(error).replace("rows.", "values.", 1), details)


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
    plan = plan_explanation(
        predictor,
        row,
        of=asked.of,
        passes=asked.passes,
        seed=asked.seed,
        background_rows=asked.background_rows,
        most=ExplainLimits(limits.max_passes, limits.max_row_passes),
    )
    choice = "passes" if asked.background_rows is None else "background_rows"
    service.check(
        Demand("passes", "passes", plan.passes, "passes"),
        Demand("row_passes", "rows x passes", plan.row_passes, choice),
    )
    return plan


async def run_explanation(
    service: Service, plan: ExplanationPlan, *, timeout_seconds: float | None = None
) -> ExplanationAnswer:
    """The explanation that is planned; raises as `Service.predict`."""
    found = await service.explain(plan, timeout_seconds=timeout_seconds)
    return ExplanationAnswer(plan.predictor.card, found)
