"""Sweep one feature: predict a row at many values of the feature, all under the same masks.

With the same masks at every point, a pass is one thinned network, so its output is a smooth curve.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np

from model.artifact import Card
from model.data import CategoricalFeature, Encoded, Feature, NumericFeature, Row, Schema, plain_row
from model.exploration.rows import encoded_row, fault, find_feature, with_cell
from model.messages import shown
from model.options import PredictOptions, Resolved, builtin
from model.predictions import Predictions
from model.predictor import Predictor, fresh_seed

POINTS, MARGIN, LINES = 61, 0.5, 20
MOST_MARGIN = 100.0  # widths of the training range
DIGITS = 12  # of a point, counted from the first digit of the axis's length
Lines = list[list[float]] | dict[str, list[list[float]]]


@dataclass(frozen=True, slots=True)
class Axis:
    """The values of the swept feature, for one row.

    `training_range` is None for a category, and where the range is unknown.
    """

    feature: str
    kind: Literal["numeric", "categorical"]
    training_range: tuple[float, float] | None
    values: tuple[float | str | None, ...]  # None: the model fills in a missing value
    swept: Feature = field(repr=False)
    columns: slice = field(repr=False)  # the encoded columns of the feature
    schema: Schema = field(repr=False, compare=False)
    row: Encoded = field(repr=False, compare=False)  # x [1, D]

    def encoded(self) -> Encoded:
        """The row with each of the values, encoded, x [B, D]."""
        count, features = len(self.values), self.schema.names
        points = Schema((self.swept,)).encoded([[value] for value in self.values])
        x = self.row.x.repeat(count, axis=0)
        x[:, self.columns] = points.x
        imputed = np.zeros((count, len(features)), dtype=bool)
        if self.row.imputed is not None:
            imputed |= self.row.imputed
        gaps = False if points.imputed is None else points.imputed[:, 0]
        imputed[:, features.index(self.feature)] = gaps
        return Encoded(x, features, imputed if imputed.any() else None)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Predictions along an axis, and the outputs of single passes.

    `lines` has a list for each of the first passes, with a value for each point of the axis; with
    several targets, or with classes, an object of such lists by name.
    """

    axis: Axis
    predictions: Predictions
    lines: Lines


def sweep(
    predictor: Predictor,
    row: Row,
    feature: str,
    *,
    values: Sequence[Any] | None = None,
    points: int = POINTS,
    margin: float = MARGIN,
    lines: int = LINES,
    options: PredictOptions | None = None,
) -> Sweep:
    """Predictions of the row at many values of one feature, all under the same masks.

    `values` are the points. Without `values`, there are `points` of them: evenly spaced, from
    `margin` widths of the training range below the range to as many above it; or all categories.
    The first `lines` passes are returned too. The value that the row itself has in the feature
    plays no part, and may be absent. The numbers are those of `predict` for these rows, options
    and seed. Raises InputError.
    """
    axis = sweep_axis(predictor.card, row, feature, values=values, points=points, margin=margin)
    chosen = sweep_options(predictor, options or PredictOptions())
    encoded = axis.encoded()
    predictions = predictor.predict_encoded(encoded.x, chosen).warned(encoded.codes)
    if not lines:
        return Sweep(axis, predictions, [])
    single = predictor.predict_encoded(encoded.x, line_options(predictor, chosen, lines))
    return Sweep(axis, predictions, lines_of(single, lines))


def sweep_options(predictor: Predictor, options: PredictOptions) -> Resolved:
    """The options of a sweep: all points share their masks, and the lines share the seed."""
    seed = fresh_seed() if options.seed is None else options.seed
    return predictor.resolved(replace(options, seed=seed, masks="shared", samples=False))


def line_options(predictor: Predictor, options: Resolved, lines: int) -> Resolved:
    """The options of a prediction whose samples are the first passes of another prediction.

    Raises InputError if `lines` is below 0.
    """
    lines = builtin(lines)
    if lines < 0:
        raise fault("lines", f"must be 0 or more, not {lines}")
    least = 2 * predictor.card.architecture.members  # passes of a prediction
    passes = max(least, min(lines, options.passes))
    return replace(
        options,
        passes=passes,
        estimator="plain",
        tolerance=None,
        samples=True,
        largest_error=None,
    )


def lines_of(predictions: Predictions, lines: int) -> Lines:
    """The outputs of the first passes along the axis, from a prediction with samples."""
    rows = predictions.rows
    values = np.stack(rows.columns["samples"], axis=1)[:lines]  # [P, B, V]
    if not rows.names:
        return cast("list[list[float]]", values[..., 0].tolist())
    return {name: values[..., at].tolist() for at, name in enumerate(rows.names)}


def sweep_axis(
    card: Card,
    row: Row,
    feature: str,
    *,
    values: Sequence[Any] | None = None,
    points: int = POINTS,
    margin: float = MARGIN,
) -> Axis:
    """The points of a sweep, as `sweep` describes them; raises InputError naming the field."""
    schema, row = card.schema_of_rows, plain_row(row)
    points, margin = builtin(points), builtin(margin)
    at = find_feature(schema, feature)
    swept = schema.features[at]
    cells = _points(swept, points, margin) if values is None else _given(swept, values)
    encoded = encoded_row(schema, with_cell(schema, row, at, cells[0]))
    where = swept, schema.columns[at], schema, encoded
    if isinstance(swept, NumericFeature):
        return Axis(swept.name, "numeric", swept.range, cells, *where)
    return Axis(swept.name, "categorical", None, cells, *where)


def _points(feature: Feature, points: int, margin: float) -> tuple[float | str, ...]:
    """Evenly spaced numbers around the training range, or all categories."""
    if isinstance(feature, CategoricalFeature):
        return feature.categories
    if not (isinstance(points, int) and points >= 2):
        raise fault("points", f"must be a whole number, 2 or more, not {shown(points)}")
    if not (isinstance(margin, int | float) and 0 <= margin <= MOST_MARGIN):
        raise fault("margin", f"must be a number in [0, {MOST_MARGIN:g}], not {shown(margin)}")
    if feature.range is None:
        message = f"the training range of {shown(feature.name)} is unknown; send the points"
        raise fault("values", message)
    low, high = feature.range
    beyond = margin * ((high - low) or feature.scale)
    ends = low - beyond, high + beyond
    for end in ends:
        if wrong := feature.fault(end):
            raise fault("margin", f"a point {wrong}; feature {shown(feature.name)}")
    digits = DIGITS - 1 - math.floor(math.log10((ends[1] - ends[0]) or 1))
    return tuple(round(point, digits) for point in np.linspace(*ends, points).tolist())


def _given(feature: Feature, values: Sequence[Any]) -> tuple[float | str | None, ...]:
    if not len(values):
        raise fault("values", "there are no values; at least one is needed")
    for at, cell in enumerate(values):
        wrong = feature.fault(cell)
        if wrong:
            raise fault(f"values.{at}", f"feature {shown(feature.name)} {wrong}")
    return tuple(feature.plain(cell) for cell in values)
