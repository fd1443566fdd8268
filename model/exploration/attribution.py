"""Explain the variance of one row: which layers, and which features, does it come from?"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from model.data import Row, plain_row
from model.errors import InputError
from model.exploration.explanation import (
    BackgroundStd,
    Estimated,
    Explanation,
    FeatureShare,
    LayerShare,
)
from model.exploration.features import MOST_EXACT, Background, run_features, sets
from model.exploration.layers import Layers, mixtures, random_orders, run_layers
from model.exploration.moments import Moments, standard_error
from model.exploration.rows import cells, encoded_row, fault
from model.exploration.value import Value, value_names
from model.messages import not_one_of, shown
from model.options import PredictOptions, builtin
from model.passes import Source, pieces, sources
from model.predictions import Predictions
from model.predictor import Predictor, fresh_seed

EXPLAIN_PASSES = 1000
LEAST_PASSES = 4  # of one pair of noise, the errors of the layers are unknown
ROW_PASSES = 2_000_000  # of the background rows that are taken if the request names no number
MOST_BACKGROUND, LEAST_BACKGROUND = 100, 16  # of those
LEAST_GIVEN = 2  # of one row, the error of the shares is unknown
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
    4 or more, by default 1,000; `background_rows` is how many training rows the features are
    compared with, by default up to 100. Both reduce the Monte-Carlo errors. Raises InputError.
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
    checked = PredictOptions(passes=passes, seed=seed)  # raises InputError
    passes, seed, background_rows = checked.passes, checked.seed, builtin(background_rows)
    row = plain_row(row)
    if passes is not None and passes < LEAST_PASSES:
        raise fault("passes", f"must be a whole number, {LEAST_PASSES} or more, not {passes}")
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
        encoded_row(schema, row).x,
        cells(schema, row),
        of=default if of is None else names.index(of),
        passes=passes or LEAST_PASSES,
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
        card = self.predictor.card
        return sources(card.config, card.architecture.members)

    @property
    def row_passes(self) -> int:
        """The number of passes over single rows."""
        rows = 1 + self.background_rows * self._sets
        return rows * self.passes + mixtures(len(self.sources)) * self._pairs

    @property
    def _pairs(self) -> int:
        """The number of pairs of noise: passes 0, 1, ... with those that follow."""
        return self.passes // 2

    def affordable_passes(self, rows: int | None, most: ExplainLimits) -> int:
        """The number of passes, if the request names none, with so many background rows."""
        kept = self.predictor.card.similarity is not None
        each = 1 + mixtures(len(self.sources)) / 2 + kept * (rows or LEAST_BACKGROUND) * self._sets
        return max(LEAST_PASSES, int(min(EXPLAIN_PASSES, most.passes, most.row_passes // each)))

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
        """About the bytes that the explanation holds between its steps.

        Those of a step are not in it: a process computes one step at a time.
        """
        layers = 8 * self.passes * (3 + 3 * len(self.sources))
        shares = 8 * (self.passes + self.background_rows) * (len(self.cells) + 1)
        return 2 * layers + 2 * shares

    def rounds(self) -> ExplainRounds:
        """The work in rounds of steps, of some tens of milliseconds each.

        The steps of a round may run in any order and thread, one at a time. A round needs the
        results of the one before, in the order of its steps.
        """
        (predicted,) = yield [ExplainStep(1, self._predicted)]
        moments = Moments.of(predicted, self.of, self.predictor)
        layers = yield [*self._layer_steps(moments.value)]
        influence = np.zeros((self.passes, len(self.cells) + 1))
        shares: Sequence[np.ndarray] = []
        if self.background_rows:
            shares = yield [*self._feature_steps(moments.value, influence)]
        _check_finite(shares)
        # With thousands of features, the summary too takes some tens of milliseconds.
        step = ExplainStep(1, partial(self._summary, moments, layers, shares, influence))
        (found,) = yield [step]
        return cast("Explanation", found)

    def _predicted(self, check: Check) -> Predictions:
        """The prediction of the row by the plain estimator, from the passes of the explanation."""
        options = PredictOptions(
            passes=self.passes, seed=self.seed, estimator="plain", masks="shared", coverage=0.5
        )
        try:
            return self.predictor.predict_encoded(self.x, options, before_chunk=check)
        except InputError:
            raise fault("row", OVERFLOW) from None

    def _layer_steps(self, value: Value) -> Iterator[ExplainStep]:
        for block in pieces(range(self._pairs), self._step_pairs):
            yield ExplainStep(1, partial(self._layers, value, block))

    def _layers(self, value: Value, block: range, check: Check) -> Layers:
        return run_layers(
            self.predictor,
            self.x,
            value,
            self.sources,
            pairs=block,
            of=self._pairs,
            orders=self._orders,
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
        moments: Moments,
        layers: Sequence[Layers],
        shares: Sequence[np.ndarray],
        influence: np.ndarray,
        _: Check,
    ) -> Explanation:
        """The explanation from the results of all steps."""
        parts = list[Estimated]()
        if shares:
            size = -(-self._sets // self._step_sets)  # steps of a block of rows
            blocks = [np.sum(shares[at : at + size], 0) for at in range(0, len(shares), size)]
            parts = _of_std(np.concatenate(blocks), influence, left=self._left)
        return self._explanation(moments, Layers.joined(layers), parts)

    def _explanation(
        self, moments: Moments, layers: Layers, parts: Sequence[Estimated]
    ) -> Explanation:
        """The explanation; `parts` are those of the features and the background, if there are."""
        named = zip(self.predictor.card.features, self.cells, parts, strict=False)
        part = partial(moments.part, layers)
        return Explanation(
            of=moments.value.name,
            passes=self.passes,
            seed=self.seed,
            mean=moments.mean,
            variance=moments.variance,
            std=moments.std,
            layers=tuple(
                LayerShare(
                    source.name,
                    source.rate,
                    variance=part(layers.shares[:, at]),
                    alone=part(layers.alone[:, at]),
                    total=part(layers.total[:, at]),
                )
                for at, source in enumerate(self.sources)
            ),
            interactions=part(layers.interactions),
            features=tuple(FeatureShare(f.name, cell, part) for f, cell, part in named)
            if parts
            else None,
            background=BackgroundStd(self._compared, parts[-1]) if parts else None,
            note=None if parts else NO_ROWS,
        )

    @cached_property
    def _orders(self) -> np.ndarray | None:
        return random_orders(len(self.sources), self._pairs, self.seed)

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


def _of_std(shares: np.ndarray, influence: np.ndarray, *, left: float) -> list[Estimated]:
    """The shares of the features and the std of the background, from shares [M, J + 1].

    `influence` [P, J + 1] is that of each pass on their sums. `left` is the share of the kept rows
    about which the background rows say nothing.
    """
    by_row, by_pass = standard_error(shares), standard_error(influence / len(shares))
    errors = np.hypot(math.sqrt(left) * by_row, by_pass)
    pairs = zip(shares.mean(0).tolist(), errors.tolist(), strict=True)
    return [Estimated(*pair) for pair in pairs]
