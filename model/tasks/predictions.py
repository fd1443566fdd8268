"""What is told of one row: the fields of a prediction, by task."""

from dataclasses import dataclass

Value = float | dict[str, float]  # a number, or one number per target where there are several
ByClass = dict[str, float]


@dataclass(frozen=True, slots=True)
class Interval:
    """`lower` to `upper` holds the target with probability `coverage`, as far as `method` goes.

    `conformal`: mean +- q (total std + 2 typical total std), q from calibration rows; holds a fresh
    row's target with that probability at least, over rows and seeds, whatever the network and the
    data, as long as rows are exchangeable. Rows of one request under shared masks err together.
    `conformal:FEATURE`: the same for the rows of each category of that feature by itself.
    `normal`, without calibration rows: mean +- z total std, which promises nothing.
    """

    coverage: float
    lower: Value
    upper: Value
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionPrediction:
    """One row's prediction in the target's unit; variances in the unit squared."""

    mean: Value
    variance: Value  # across the passes: epistemic
    std: Value
    mean_error: Value  # Monte-Carlo standard errors
    variance_error: Value
    deterministic: Value  # dropout off
    noise_variance: Value  # aleatoric; 0 where nothing is known of the noise
    total_variance: Value  # factor x variance + noise_variance: what ranks the errors
    interval: Interval
    distance: float | None = None  # to the nearest of the training rows kept, in whitened units
    distance_p_value: float | None = None  # share of rows like the data as far off, or farther
    spread_p_value: float | None = None  # share of rows like the data whose passes spread as much
    accept: bool | None = None  # where a largest error was named
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[Value, ...] | None = None  # where asked for


@dataclass(frozen=True, slots=True)
class LabelSet:
    """`labels`, most probable first, hold the true class with probability `coverage` at least.

    Over fresh rows, as long as they are exchangeable with the calibration rows. `lac`: the smallest
    sets on average; `aps`: larger ones that are more alike in coverage between easy and hard rows;
    `raps`: the same, but for a penalty on unlikely classes that keeps sets small where there are
    many. `lac:FEATURE` and so on: so calibrated for each category of that feature by itself.
    """

    coverage: float
    labels: tuple[str, ...]
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPrediction:
    """One row's prediction; `mean` holds the predicted probabilities, entropies are in nats."""

    label: str  # the class of the largest mean probability
    mean: ByClass
    variance: ByClass  # across the passes: epistemic
    std: ByClass
    mean_error: ByClass  # Monte-Carlo standard errors
    variance_error: ByClass
    deterministic: ByClass  # dropout off
    predictive_entropy: float
    expected_entropy: float
    mutual_information: float
    mutual_information_error: float | None = None  # Monte-Carlo standard error; not of many classes
    variation_ratio: float | None = None  # share of passes that put another class first
    label_set: LabelSet | None = None  # None without calibration rows
    distance: float | None = None  # to the nearest of the training rows kept, in whitened units
    distance_p_value: float | None = None  # share of rows like the data as far off, or farther
    spread_p_value: float | None = None  # share of rows like the data whose passes spread as much
    accept: bool | None = None  # where a largest error was named
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByClass, ...] | None = None  # where asked for
