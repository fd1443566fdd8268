"""Explain the variance of one row: which layers, and which features, does it come from?"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from model.data import Row
from model.exploration.explanation import (
    BackgroundStd,
    Estimated,
    Explanation,
    FeatureShare,
    LayerShare,
)
from model.exploration.features import MOST_EXACT, Background, run_features, sets, spread
from model.exploration.layers import Layers, class_totals, mixtures, random_orders, run_layers
from model.exploration.rows import cells, encoded_row, fault
from model.exploration.value import Value, value_names
from model.messages import not_one_of, shown
from model.options import PredictOptions
from model.passes import Source, pieces, sources
from model.predictor import Predictor, fresh_seed

EXPLAIN_PASSES = 1000
ROW_PASSES = 2_000_000  # of the background rows that are taken if the request names no number
MOST_BACKGROUND, LEAST_BACKGROUND = 100, 16  # of those
LEAST_GIVEN = 2  # of one row, the error of the shares is unknown
CHUNK_BYTES = 64 << 20  # of the passes that a step computes at once
STEP_MACS = 1_000_000_000  # multiplications of a step: some 50 ms
MACS_OF_MASKS = 50  # drawing a unit's mask takes as long as so many multiplications
MACS_OF_VALUE, MACS_OF_CELL = 200, 500  # a value of a pass, and a cell of a row
OVERFLOW = "the model's output is not finite: a value lies too far from the training data"


class ExplainLimits(NamedTuple):
    """The most passes, and rows x passes, of an explanation that names no numbers."""

    passes: float
    row_passes: float


NO_LIMIT = ExplainLimits(math.inf, math.inf)
Check = Callable[[], None]  # is called every few milliseconds; it may raise to end the work
NO_ROWS = "the model keeps no training rows to compare with, so the features have no shares"


def explain(
    predictor: Predictor,
    row: Row,
    *,
    of: str | None = None,
    passes: int | None = None,
    seed: int | None = None,
    background_rows: int | None = None,
) -> Explanation:
    """Where the variance of the row across the passes comes from, by layer and by feature.

    `of` is a target or a class: by default the first target, or the predicted class. `passes` is
    the number N of pairs of masks for the layers, and of passes for the features; by default 1,000.
    `background_rows` is how many training rows the features are compared with, by default up to
    100. Both reduce the Monte-Carlo errors. Raises InputError.
    """
    asked = plan_explanation(
        predictor, row, of=of, passes=passes, seed=seed, background_rows=background_rows
    )
    rounds = asked.rounds()
    steps = next(rounds)
    while True:
        try:
            steps = rounds.send([step.run(lambda: None) for step in steps])
        except StopIteration as end:
            return cast("Explanation", end.value)


@dataclass(frozen=True, slots=True)
class ExplainStep:
    """Some tens of milliseconds of work, which predicts so many rows; `rounds` needs its result."""

    rows: int
    run: Callable[[Check], Any]


ExplainRounds = Generator[Sequence[ExplainStep], Sequence[Any], Explanation]


def plan_explanation(
    predictor: Predictor,
    row: Row,
    *,
    of: str | None = None,
    passes: int | None = None,
    seed: int | None = None,
    background_rows: int | None = None,
    most: ExplainLimits = NO_LIMIT,
) -> "ExplanationPlan":
    """The request to `explain`, checked; the default numbers keep within what is the most."""
    PredictOptions(passes=passes, seed=seed)  # raises InputError
    if background_rows is not None and not (
        isinstance(background_rows, int) and background_rows >= LEAST_GIVEN
    ):
        wanted = f"must be a whole number, {LEAST_GIVEN} or more, not {shown(background_rows)}"
        raise fault("background_rows", wanted)
    schema, names = predictor.card.schema_of_rows, value_names(predictor.card)
    if of is not None and of not in names:
        raise fault("of", not_one_of(of, names))
    default = None if predictor.card.target.classes else 0
    asked = ExplanationPlan(
        predictor,
        encoded_row(schema, row),
        cells(schema, row),
        of=default if of is None else names.index(of),
        passes=passes or 1,
        seed=fresh_seed() if seed is None else seed,
        background_rows=0,
    )
    if passes is None:
        asked = replace(asked, passes=asked.affordable_passes(background_rows, most))
    return replace(asked, background_rows=asked.affordable_rows(background_rows, most))


@dataclass(frozen=True)
class ExplanationPlan:
    """A checked request: the encoded row x [1, D], and how much to compute."""

    predictor: Predictor
    x: np.ndarray
    cells: tuple[float | str | None, ...]
    of: int | None  # the number of a target or class; None is the predicted class
    passes: int
    seed: int
    background_rows: int

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The sources of noise in the network."""
        return sources(self.predictor.card.config)

    @property
    def row_passes(self) -> int:
        """The number of passes over single rows."""
        count = mixtures(len(self.sources)) + self.background_rows * self._sets
        return count * self.passes

    def affordable_passes(self, rows: int | None, most: ExplainLimits) -> int:
        """The number of passes, if the request names none, with so many background rows."""
        kept = self.predictor.card.similarity is not None
        each = mixtures(len(self.sources)) + kept * (rows or LEAST_BACKGROUND) * self._sets
        return max(2, int(min(EXPLAIN_PASSES, most.passes, most.row_passes // each)))

    def affordable_rows(self, asked: int | None, most: ExplainLimits) -> int:
        """The number of background rows: those asked for, or by default what the limits allow."""
        similarity = self.predictor.card.similarity
        if similarity is None:
            return 0
        exact = len(self.cells) <= MOST_EXACT  # then a row says nothing new again
        kept = similarity.reference_rows if exact else asked or MOST_BACKGROUND
        if asked is not None:
            return max(LEAST_GIVEN, min(asked, kept))
        each = self._sets * self.passes
        wanted = min(max(ROW_PASSES // each, LEAST_BACKGROUND), MOST_BACKGROUND, kept)
        left = most.row_passes - self.row_passes
        return max(LEAST_GIVEN, int(min(wanted, left // each)))

    @property
    def memory_bytes(self) -> int:
        """About the bytes that the explanation takes while it is computed."""
        layers = 8 * self.passes * (3 + 3 * len(self.sources))
        shares = 8 * (self.passes + self.background_rows) * (len(self.cells) + 1)
        step = 8 * self._step_rows * self._step_sets * (self.x.size + 4 * len(self.cells))
        return 2 * layers + 2 * shares + step + CHUNK_BYTES

    def rounds(self) -> ExplainRounds:
        """The work in rounds of steps, of some tens of milliseconds each.

        The steps of a round may run in any order and thread, one at a time. A round needs the
        results of the one before, in the order of its steps.
        """
        at = self.of
        if at is None:
            at = int(np.sum((yield [*self._class_steps()]), axis=0).argmax())
        value = Value.of(self.predictor.card, at)
        layers = yield [*self._layer_steps(value)]
        _check_finite(part.variance for part in layers)
        influence = np.zeros((self.passes, len(self.cells) + 1))
        shares = (yield [*self._feature_steps(value, influence)]) if self.background_rows else []
        _check_finite(shares)
        # With thousands of features, the summary too takes some tens of milliseconds.
        (found,) = yield [ExplainStep(1, partial(self._summary, value, layers, shares, influence))]
        return cast("Explanation", found)

    def _class_steps(self) -> Iterator[ExplainStep]:
        for block in pieces(range(self.passes), self._step_pairs * mixtures(len(self.sources))):
            yield ExplainStep(1, partial(self._class_totals, block))

    def _class_totals(self, block: range, check: Check) -> np.ndarray:
        return class_totals(
            self.predictor, self.x, passes=block, seed=self.seed, before_chunk=check
        )

    def _layer_steps(self, value: Value) -> Iterator[ExplainStep]:
        for block in pieces(range(self.passes), self._step_pairs):
            yield ExplainStep(1, partial(self._layers, value, block))

    def _layers(self, value: Value, block: range, check: Check) -> Layers:
        return run_layers(
            self.predictor,
            self.x,
            value,
            self.sources,
            pairs=block,
            orders=self._orders,
            passes=self.passes,
            seed=self.seed,
            before_chunk=check,
        )

    def _feature_steps(self, value: Value, influence: np.ndarray) -> Iterator[ExplainStep]:
        for block in pieces(range(self.background_rows), self._step_rows):
            for part in pieces(range(self._sets), self._step_sets):
                shares = partial(self._shares, value, influence, block, part)
                yield ExplainStep(len(block) * len(part), shares)

    def _shares(
        self, value: Value, influence: np.ndarray, block: range, part: range, check: Check
    ) -> np.ndarray:
        return run_features(
            self.predictor,
            self.x,
            value,
            self._background.games(block, part),
            seed=self.seed,
            influence=influence,
            before_chunk=check,
        )

    def _summary(
        self,
        value: Value,
        layers: Sequence[Layers],
        shares: Sequence[np.ndarray],
        influence: np.ndarray,
        _: Check,
    ) -> Explanation:
        """The explanation from the results of all steps."""
        joined, parts = Layers.joined(layers), list[Estimated]()
        if shares:
            size = -(-self._sets // self._step_sets)  # steps of a block of rows
            blocks = [np.sum(shares[at : at + size], 0) for at in range(0, len(shares), size)]
            parts = _of_std(joined, np.concatenate(blocks), influence, left=self._left)
        return self._explanation(value, joined, parts)

    def _explanation(self, value: Value, layers: Layers, parts: Sequence[Estimated]) -> Explanation:
        """The explanation; `parts` are those of the features and the background, if there are."""
        std, influence = layers.std
        named = zip(self.predictor.card.features, self.cells, parts, strict=False)
        return Explanation(
            of=value.name,
            passes=self.passes,
            seed=self.seed,
            mean=_mean(layers.mean),
            variance=_mean(layers.variance),
            std=Estimated(std, float(_error(influence))),
            layers=tuple(
                LayerShare(
                    source.name,
                    source.rate,
                    variance=_mean(layers.shares[:, at]),
                    alone=_mean(layers.alone[:, at]),
                    total=_mean(layers.total[:, at]),
                )
                for at, source in enumerate(self.sources)
            ),
            interactions=_mean(layers.variance - layers.alone.sum(1)),
            features=tuple(FeatureShare(f.name, cell, part) for f, cell, part in named)
            if parts
            else None,
            background=BackgroundStd(self._compared, parts[-1]) if parts else None,
            note=None if parts else NO_ROWS,
        )

    @cached_property
    def _orders(self) -> np.ndarray | None:
        return random_orders(len(self.sources), self.passes, self.seed)

    @cached_property
    def _background(self) -> Background:
        kept = self.predictor.kept_rows()
        assert kept is not None
        return Background.drawn(kept, len(self.cells), count=self.background_rows, seed=self.seed)

    @property
    def _compared(self) -> int:
        """The number of different background rows."""
        similarity = self.predictor.card.similarity
        return min(self.background_rows, similarity.reference_rows) if similarity else 0

    @property
    def _left(self) -> float:
        """The share of the kept rows about which the background rows say nothing.

        Unless all sets of features are computed, a row says something new with every order.
        """
        similarity = self.predictor.card.similarity
        if similarity is None or len(self.cells) > MOST_EXACT:
            return 1.0
        return 1 - self._compared / similarity.reference_rows

    @property
    def _sets(self) -> int:
        return sets(len(self.predictor.card.features))

    @cached_property
    def _macs(self) -> int:
        """The multiplications of a pass over a row; each value takes as long as many of them."""
        config = self.predictor.card.config
        layers = sum(a * b for a, b in pairwise((*config.site_widths, config.outputs)))
        return layers + MACS_OF_VALUE * (config.outputs + 1)

    @cached_property
    def _step_mixtures(self) -> int:
        """The number of rows in a step that have features of the row and of a background row."""
        cells = len(self.cells)
        of_row = self.passes * (self._macs + cells) + MACS_OF_CELL * (cells + self.x.size)
        return max(1, STEP_MACS // of_row)

    @property
    def _step_sets(self) -> int:
        """The number of sets of features in a step, for each of its background rows."""
        return min(self._sets, self._step_mixtures)

    @property
    def _step_rows(self) -> int:
        """The number of background rows in a step."""
        return max(1, self._step_mixtures // self._sets)

    @property
    def _step_pairs(self) -> int:
        """The number of pairs of noise in a step; their masks take most of the time."""
        config = self.predictor.card.config
        most = STEP_MACS // (MACS_OF_MASKS * sum(config.site_widths))
        return max(1, min(most, STEP_MACS // self._macs) // mixtures(len(self.sources)))


def _check_finite(parts: Iterable[np.ndarray]) -> None:
    if not all(np.isfinite(part).all() for part in parts):
        raise fault("row", OVERFLOW)


def _of_std(
    layers: Layers, shares: np.ndarray, influence: np.ndarray, *, left: float
) -> list[Estimated]:
    """The shares of the features and the std of the background, scaled to the std of the layers.

    The std of the layers comes from more passes than that of the features. Both have their first
    passes in common, so the ratio of two stds is known better than each of them. `shares` are
    [M, J + 1], and `influence` [P, J + 1] is that of each pass on their sums. `left` is the share
    of the kept rows about which the background rows say nothing.
    """
    (std, by_pair), (_, by_own) = layers.std, spread(layers.outputs[:, None])
    values = shares.mean(0)  # [J + 1]
    own = values.sum()  # the std of the row over the passes of the features
    ratio = std / own if own else 1.0
    of_ratio = (by_pair - ratio * by_own[:, 0]) / (own or 1)  # [P]
    by_pass = ratio * influence / len(shares) + of_ratio[:, None] * values
    errors = np.hypot(ratio * math.sqrt(left) * _error(shares), _error(by_pass))
    pairs = zip((ratio * values).tolist(), errors.tolist(), strict=True)
    return [Estimated(*pair) for pair in pairs]


def _mean(values: np.ndarray) -> Estimated:
    return Estimated(float(values.mean()), float(_error(values)))


def _error(values: np.ndarray) -> np.ndarray:
    """The standard error of the mean over the first axis."""
    return np.asarray(values.std(0, ddof=1) / math.sqrt(len(values)))
