"""The parts of a card that held-out rows fit: tuning, serving, calibration and abstention."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from math import inf, isfinite
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.calibration import KNOTS, Abstention, Calibration, Level, NoiseKind, Risk
from model.data import Table
from model.options import Estimator, MaskScope

Units = Annotated[float, Field(ge=0)]
Scores = tuple[Units, ...]


class Record(BaseModel):
    """A part of a card, which refuses unknown fields, wrong types and infinite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class TuningRecord(Record):
    """The tuning by validation rows; see `Tuning`. `fitted` is false if no rows have tuned yet."""

    noise: NoiseKind = "homoscedastic"
    variance_factors: tuple[Annotated[float, Field(gt=0)], ...] = ()
    member_factors: tuple[Annotated[float, Field(gt=0)], ...] = ()
    noise_scales: tuple[Annotated[float, Field(gt=0)], ...] = ()
    noise_powers: tuple[Annotated[float, Field(ge=0)], ...] = ()
    typical_stds: tuple[Annotated[float, Field(ge=0)], ...] = ()
    largest_errors: tuple[Annotated[float, Field(ge=0)], ...] = ()
    temperature: Annotated[float, Field(gt=0)] = 1.0
    rank_penalty: Annotated[float, Field(ge=0)] = 0.0
    free_ranks: Annotated[int, Field(ge=1)] = 1
    fitted: bool = True


class ServingRecord(Record):
    """The options of a request that names none; see `model.training`.

    `reason` says why passes and masks are not the usual ones. `plain_because` says why the
    estimator is not `reduced`. `controls`: whether `reduced` uses its control variates; if they do
    harm on calibration rows, it only integrates out the last dropout layer.
    """

    passes: Annotated[int, Field(ge=2)] = 100
    estimator: Estimator = "reduced"
    masks: MaskScope = "shared"
    reason: str = ""
    plain_because: str = ""
    controls: bool = True


class LevelRecord(Record):
    """One threshold of the uncertainty; null if all rows are accepted."""

    threshold: float | None
    accepted: Annotated[float, Field(gt=0, le=1)]
    risk: Annotated[float, Field(ge=0)]
    bound: Annotated[float, Field(ge=0)]


class AbstentionRecord(Record):
    """Bounds on the risk of accepted rows; see `model.calibration.abstention`."""

    risk: Risk
    confidence: Annotated[float, Field(gt=0, lt=1)]
    rows: Annotated[int, Field(ge=1)]
    levels: Annotated[tuple[LevelRecord, ...], Field(min_length=1)]
    largest: float | None = None


class CalibrationRecord(Record):
    """Sorted conformal scores by name, the rows, the passes and the estimator behind them.

    `masks` is `per_row` if each row was scored under its own masks; in old cards all rows shared
    theirs. `tuning_rows` counts the rows of the same data that have fitted or corrected the tuning
    instead. `groups` has the scores of each category of the feature `by`, if each is calibrated by
    itself, or with `by_class` of each class. `class_rows` counts the rows of each class. `notices`
    say what the calibration cannot promise. `comparisons` has scores of other kinds of intervals;
    see `Calibration`. `allowances` has allowances by estimator and quantity; see
    `model.calibration.error_bars`. `spreads` has the spread of each row; old cards have none.
    """

    data: str
    data_sha256: str
    passes: Annotated[int, Field(ge=2)]
    estimator: Estimator
    masks: MaskScope = "shared"
    rows: Annotated[int, Field(ge=1)]
    tuning_rows: Annotated[int, Field(ge=0)] = 0
    scores: dict[str, Scores]
    abstention: AbstentionRecord | None = None
    by: str | None = None
    by_class: bool = False
    groups: dict[str, dict[str, Scores]] = Field(default={})  # by name (as scores) and group
    class_rows: dict[str, int] = Field(default={})
    notices: tuple[str, ...] = ()
    comparisons: dict[str, dict[str, Scores]] = Field(default={})  # by kind and target
    allowances: dict[Estimator, dict[str, tuple[Units, ...]]] = Field(default={})
    spreads: Scores = ()

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        if self.by_class and self.by is not None:
            raise ValueError("groups are the categories of a feature, or classes, but not both")
        grouped = self.by_class or self.by is not None
        if self.groups.keys() != (self.scores.keys() if grouped else set()):
            raise ValueError("groups must have the same names as scores, where there are any")
        for name, scores in self.scores.items():
            if len(scores) != self.rows or not _ascending(scores):
                raise ValueError(f"scores of {name!r} must be {self.rows} ascending numbers")
            groups = self.groups.get(name, {}).values()
            if grouped and sum(map(len, groups)) != self.rows:
                raise ValueError(f"groups of {name!r} must have {self.rows} scores in all")
            if not all(map(_ascending, groups)):
                raise ValueError(f"the scores of each group of {name!r} must be ascending")
        for estimator, units in self.allowances.items():
            if not all(len(each) == len(KNOTS) for each in units.values()):
                raise ValueError(f"allowances.{estimator} must be {len(KNOTS)} numbers each")
        for kind, parts in self.comparisons.items():
            if not all(len(each) == self.rows and _ascending(each) for each in parts.values()):
                raise ValueError(f"comparisons.{kind} must be {self.rows} ascending numbers each")
        if len(self.spreads) not in (0, self.rows) or not _ascending(self.spreads):
            raise ValueError(f"spreads must be {self.rows} ascending numbers, or none")
        return self

    @property
    def calibration(self) -> Calibration:
        """The calibration of this record."""
        return Calibration(
            passes=self.passes,
            estimator=self.estimator,
            masks=self.masks,
            scores={name: np.array(scores) for name, scores in self.scores.items()},
            abstention=_abstention(self),
            by=self.by,
            by_class=self.by_class,
            groups=_arrays(self.groups),
            comparisons=_arrays(self.comparisons),
            allowances=self.allowances,
            spreads=np.array(self.spreads) if self.spreads else None,
        )


class BaselineRecord(Record):
    """A baseline on the test rows, and how much more it loses there; see `Comparison`."""

    metrics: dict[str, float]
    gain: float
    gain_error: Annotated[float, Field(ge=0)]


def calibration_record(calibration: Calibration, data: Table) -> CalibrationRecord:
    """The card's entry of a calibration on rows of a table."""
    scores = {name: tuple(values.tolist()) for name, values in calibration.scores.items()}
    rows = len(next(iter(scores.values())))
    return CalibrationRecord(
        data=data.name,
        data_sha256=data.sha256,
        passes=calibration.passes,
        estimator=calibration.estimator,
        masks=calibration.masks,
        rows=rows,
        scores=scores,
        abstention=_abstention_record(calibration.abstention),
        by=calibration.by,
        by_class=calibration.by_class,
        groups=_tuples(calibration.groups),
        comparisons=_tuples(calibration.comparisons),
        allowances={
            estimator: {name: tuple(units) for name, units in parts.items()}
            for estimator, parts in calibration.allowances.items()
        },
        spreads=() if calibration.spreads is None else tuple(calibration.spreads.tolist()),
    )


def _arrays(scores: dict[str, dict[str, Scores]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        name: {part: np.array(values) for part, values in parts.items()}
        for name, parts in scores.items()
    }


def _tuples(scores: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, Scores]]:
    return {
        name: {part: tuple(values.tolist()) for part, values in parts.items()}
        for name, parts in scores.items()
    }


def _ascending(scores: Scores) -> bool:
    return all(a <= b for a, b in pairwise(scores))


def _abstention_record(abstention: Abstention | None) -> AbstentionRecord | None:
    if abstention is None:
        return None
    content = asdict(abstention)
    for level in content["levels"]:
        level["threshold"] = level["threshold"] if isfinite(level["threshold"]) else None
    return AbstentionRecord.model_validate(content)


def _abstention(entry: CalibrationRecord) -> Abstention | None:
    found = entry.abstention
    if found is None:
        return None
    levels = (level.model_dump() for level in found.levels)
    return Abstention(
        risk=found.risk,
        confidence=found.confidence,
        rows=found.rows,
        levels=tuple(
            Level(
                **level | {"threshold": inf if level["threshold"] is None else level["threshold"]}
            )
            for level in levels
        ),
        largest=found.largest,
    )
