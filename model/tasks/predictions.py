"""The fields of a row's prediction for each task; every field is defined here and only here."""

from dataclasses import dataclass
from typing import Annotated

from model.tasks.columns import About

Value = float | dict[str, float]  # a number, or one number per target where there are several
ByClass = dict[str, float]

INTERVAL_METHOD = About(
    "`conformal`: mean +- q x (total std + 2 x median total std of held-out rows), with q from the "
    "calibration rows. It holds a fresh row's target with that probability at least, over rows and "
    "seeds, for any network and any data, as long as fresh rows are exchangeable with the "
    "calibration rows. Rows of one request under shared masks err together. `conformal:FEATURE`: q "
    "comes from the calibration rows of the same category. `normal`: the model has no calibration "
    "rows; mean +- z x total std, which promises nothing. Where the logarithm of the target is "
    "learned (`--log-target`), mean and total std are those of the logarithm, and exp maps the "
    "ends: no interval begins below 0.",
    kind="text",
)
LABEL_SET_METHOD = About(
    "`lac`: the smallest sets on average. `aps`: larger sets, whose coverage differs less between "
    "easy rows and hard rows. `raps`: as `aps`, with a penalty on unlikely classes, which keeps "
    "sets small where there are many classes. `lac:FEATURE` and so on: each category of that "
    "feature is calibrated by itself. `lac-by-class` and so on: each class is calibrated by "
    "itself, so that the sets hold each class with that probability, however rare it is.",
    kind="text",
)
VARIANCE = About(
    "Variance across the passes (epistemic): what more training data would remove.",
    "target squared",
)
NOISE_VARIANCE = About(
    "Variance of the noise in the target (aleatoric); 0 where nothing is known of the noise.",
    "target squared",
)
MEMBER_VARIANCE = About(
    "The part of `variance` between the means of the members; the rest is within members. Absent "
    "where the model is a single network.",
    "target squared",
)
MEMBER_VARIANCE_ERROR = About("Monte-Carlo standard error of `member_variance`.", "target squared")
TOTAL_VARIANCE = About(
    "factor x `variance` + `noise_variance`: the expected squared error, and what ranks the "
    "errors. The part of `variance` between members has a factor of its own. Held-out rows fit "
    "the factors (`tuning.variance_factors` and `tuning.member_factors` of `GET /models/{name}`); "
    "they are 1 without such rows.",
    "target squared",
)
EXPECTED_ENTROPY = About(
    "Mean entropy of the passes: what more training data would not remove.", "nats", "number"
)
MUTUAL_INFORMATION = About(
    "`predictive_entropy` - `expected_entropy`: how much the passes disagree.", "nats", "number"
)
MUTUAL_INFORMATION_ERROR = About(
    "Monte-Carlo standard error of `mutual_information`. Absent for more than 64 classes.",
    "nats",
    "number",
)
VARIATION_RATIO = About(
    "Share of passes that put another class first than most passes do.", "probability", "number"
)
DISTANCE = About(
    "Distance to the nearest of the training rows kept, in whitened units: 0 is a row that was "
    "there. Absent where the model keeps no training rows.",
    kind="number",
)
DISTANCE_P_VALUE = About(
    "Share of rows like the calibration rows that are as far from the training rows, or farther.",
    "probability",
    "number",
)
SPREAD_P_VALUE = About(
    "Share of rows like the calibration rows that have as large a total std, or larger (of the "
    "logarithm, where that is learned). Absent where the model is not calibrated.",
    "probability",
    "number",
)
INFORMATION_P_VALUE = About(
    "Share of rows like the calibration rows that have as large a `mutual_information`, or larger. "
    "Absent where the model is not calibrated.",
    "probability",
    "number",
)
ACCEPT = About(
    "Whether to trust the row; only where the request names `largest_error`.", kind="flag"
)
ROW_PASSES = About("Passes that this row took.", kind="count")
WARNINGS = About("Codes such as `outside_training_range:bmi` and `imputed:bmi`.", kind="codes")
SAMPLES = About("What every pass predicts; only where asked for.", "target", "samples")
PROBABILITY_SAMPLES = About(
    "Every pass's probabilities; only where asked for.", "probability", "samples"
)


CLASS_MEMBER_VARIANCE = About(
    "The part of `variance` between the means of the members; the rest is within members. Absent "
    "where the model is a single network."
)


@dataclass(frozen=True, slots=True)
class Interval:
    """`lower` to `upper` holds the target with probability `coverage`, as `method` explains."""

    coverage: Annotated[float, About("Probability with which it holds the target.", "", "number")]
    lower: Annotated[Value, About("Lower end.", "target")]
    upper: Annotated[Value, About("Upper end.", "target")]
    method: Annotated[str, INTERVAL_METHOD]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionPrediction:
    """One row's prediction, in the target's unit; variances in the unit squared."""

    mean: Annotated[Value, About("Mean over the passes.", "target")]
    variance: Annotated[Value, VARIANCE]
    std: Annotated[Value, About("Square root of `variance`.", "target")]
    mean_error: Annotated[Value, About("Monte-Carlo standard error of `mean`.", "target")]
    variance_error: Annotated[
        Value, About("Monte-Carlo standard error of `variance`.", "target squared")
    ]
    member_variance: Annotated[Value | None, MEMBER_VARIANCE] = None
    member_variance_error: Annotated[Value | None, MEMBER_VARIANCE_ERROR] = None
    deterministic: Annotated[Value, About("The prediction with dropout off.", "target")]
    noise_variance: Annotated[Value, NOISE_VARIANCE]
    total_variance: Annotated[Value, TOTAL_VARIANCE]
    interval: Annotated[Interval, About("Where the target lies.", kind="region")]
    distance: Annotated[float | None, DISTANCE] = None
    distance_p_value: Annotated[float | None, DISTANCE_P_VALUE] = None
    spread_p_value: Annotated[float | None, SPREAD_P_VALUE] = None
    accept: Annotated[bool | None, ACCEPT] = None
    passes: Annotated[int, ROW_PASSES]
    warnings: Annotated[tuple[str, ...], WARNINGS]
    samples: Annotated[tuple[Value, ...] | None, SAMPLES] = None


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Classes that contain the true one with probability `coverage` at least.

    This holds over new rows that are exchangeable with the calibration rows.
    """

    coverage: Annotated[float, About("As asked for.", kind="number")]
    labels: Annotated[
        tuple[str, ...], About("The most probable first; never none.", kind="classes")
    ]
    method: Annotated[str, LABEL_SET_METHOD]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPrediction:
    """One row's prediction; numbers keyed by class, entropies in nats."""

    label: Annotated[str, About("The class of the largest mean probability.", kind="class")]
    mean: Annotated[
        ByClass, About("Predicted probabilities: the mean over the passes.", "probability")
    ]
    variance: Annotated[
        ByClass, About("Variance of the probabilities across the passes (epistemic).")
    ]
    std: Annotated[ByClass, About("Square root of `variance`.")]
    mean_error: Annotated[ByClass, About("Monte-Carlo standard error of `mean`.")]
    variance_error: Annotated[ByClass, About("Monte-Carlo standard error of `variance`.")]
    member_variance: Annotated[ByClass | None, CLASS_MEMBER_VARIANCE] = None
    member_variance_error: Annotated[
        ByClass | None, About("Monte-Carlo standard error of `member_variance`.")
    ] = None
    deterministic: Annotated[ByClass, About("Probabilities with dropout off.", "probability")]
    predictive_entropy: Annotated[
        float, About("Entropy of `mean`: the whole uncertainty.", "nats", "number")
    ]
    expected_entropy: Annotated[float, EXPECTED_ENTROPY]
    mutual_information: Annotated[float, MUTUAL_INFORMATION]
    mutual_information_error: Annotated[float | None, MUTUAL_INFORMATION_ERROR] = None
    variation_ratio: Annotated[float | None, VARIATION_RATIO] = None
    label_set: Annotated[
        LabelSet | None, About("Absent where the model is not calibrated.", kind="region")
    ] = None
    distance: Annotated[float | None, DISTANCE] = None
    distance_p_value: Annotated[float | None, DISTANCE_P_VALUE] = None
    spread_p_value: Annotated[float | None, INFORMATION_P_VALUE] = None
    accept: Annotated[bool | None, ACCEPT] = None
    passes: Annotated[int, ROW_PASSES]
    warnings: Annotated[tuple[str, ...], WARNINGS]
    samples: Annotated[tuple[ByClass, ...] | None, PROBABILITY_SAMPLES] = None
