"""The promises about targets: predictions against what came true, on rows that nothing has seen.

A figure of m test rows and n calibration rows has an error of its own: a threshold from the k-th
smallest of n scores, k = ceil((n + 1) level), covers Beta(k, n + 1 - k) of fresh rows. A promise
counts as broken where a figure is farther off than its target and SIGMAS such errors together.

Shapes: B rows, K classes.
"""

import math
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from model import PredictOptions
from model.formulas.scores import accuracy, rank_correlation, reliability
from tests.benchmarks.zoo.findings import Effort, Figures, Finding
from tests.benchmarks.zoo.networks import Case

LEVELS, SEEDS = (0.8, 0.9, 0.95), 100  # the first of the seeds; calibration has 0
SIGMAS = 3.0
OFF, APART = 0.01, 0.04  # coverage: mean over seeds from the level, worst seed from that mean
Z_LOW, Z_HIGH = 0.85, 1.15
ECE_BEYOND, DRAWS = 0.005, 200
BEHIND = 0.02  # nats behind logistic regression
NOISE_LOW, NOISE_HIGH = 0.8, 1.25  # over the truth, and over the truth with the misfit
P_LEVELS = (0.01, 0.05, 0.1)
TINY = 1e-12


def coverage(case: Case, effort: Effort) -> Finding:
    """How often regions hold the truth, by level: the mean over seeds, and the seed farthest off.

    At the model's own number of passes, estimator and scope of masks. A label set always has the
    likeliest class and may hold the truth more often than asked for.
    """
    count = case.predictor.card.training.rows["calibration"]
    found, met = dict[str, Figures](), True
    for level in LEVELS:
        shares = [_covered(case, level, SEEDS + at) for at in range(effort.seeds)]
        mean, expected = float(np.mean(shares)), math.ceil((count + 1) * level - 1e-9) / (count + 1)
        off, apart = mean - expected, float(np.max(np.abs(np.array(shares) - mean)))
        error = _error(level, count, len(case.y))
        wrong = abs(off) if case.regression else max(-off, 0.0)
        met &= wrong <= OFF + SIGMAS * error and apart <= APART + 1 / len(case.y)
        figures = {"mean": mean, "off": off, "error": error, "worst": apart}
        found[f"{level:g}"] = figures | {"least": min(shares), "most": max(shares)}
    cells = (f"{100 * f['off']:+.1f}" for f in found.values())
    apart, error = (max(f[name] for f in found.values()) for name in ("worst", "error"))
    return Finding(met, f"{' '.join(cells)}; {100 * apart:.1f} ({100 * error:.1f})", found)


def _covered(case: Case, level: float, seed: int) -> float:
    """The share of test rows whose region holds the truth."""
    columns = _columns(case, PredictOptions(seed=seed, coverage=level))
    if case.regression:
        region = columns["interval"].columns
        lower, upper = (region[end][:, 0] for end in ("lower", "upper"))
        return float(np.mean((lower <= case.y) & (case.y <= upper)))
    sets = columns["label_set"].columns["labels"]  # [B, K]
    return float(np.mean((sets == case.y[:, None]).any(-1)))


def _error(level: float, calibration: int, test: int) -> float:
    """Standard error of a share of test rows beyond a threshold from calibration rows."""
    return math.sqrt(level * (1 - level) * (1 / (calibration + 2) + 1 / test))


def _columns(case: Case, options: PredictOptions) -> dict[str, Any]:
    """The columns; those of a regression's values as [B], for each has one target."""
    columns = case.predictor.predict_encoded(case.x, options).rows.columns
    return {name: _flat(column) if case.regression else column for name, column in columns.items()}


def _flat(column: Any) -> Any:
    wide = isinstance(column, np.ndarray) and column.ndim == 2
    return column[:, 0] if wide else column


def total_std(case: Case) -> Finding:
    """Errors over the total std: their root mean square; and what the total std is worth.

    The log-likelihood is that of a normal with that std, in the target's unit.
    """
    columns = _columns(case, PredictOptions(seed=SEEDS))
    mean, total = np.array(columns["mean"]), np.array(columns["total_variance"])
    error = case.y - mean
    z = np.square(error) / total
    rms = float(np.sqrt(z.mean()))
    own = float(z.std() / (2 * rms * np.sqrt(len(z))))  # of the test rows alone
    met = Z_LOW - 2 * own <= rms <= Z_HIGH + 2 * own
    figures = {
        "rms": rms,
        "error": own,
        "rank_correlation": rank_correlation(np.sqrt(total), np.abs(error)),
        "log_likelihood": float(-0.5 * np.mean(np.log(2 * np.pi * total) + z)),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "passes_share": float(np.median(np.array(columns["variance"]) / total)),
    }
    cell = f"{rms:.2f}; {figures['rank_correlation']:.2f}, {figures['log_likelihood']:.2f}"
    return Finding(met, cell, figures)


def noise(case: Case) -> Finding:
    """The noise variance over the true one, the median row; without noise over the target's.

    No held-out row tells noise from misfit, the mean squared error beyond the noise: what is
    claimed may hold that, too.
    """
    assert case.truth is not None
    assert case.truth.noise_variance is not None
    columns, true = _columns(case, PredictOptions(seed=SEEDS)), case.truth.noise_variance
    claimed = float(np.median(columns["noise_variance"]))
    error = float(np.mean(np.square(case.y - np.array(columns["mean"]))))
    misfit, middle = max(error - float(true.mean()), 0.0), float(np.median(true))
    ratio = claimed / (middle or float(case.y.var()))
    met = NOISE_LOW * middle <= claimed <= NOISE_HIGH * (middle + misfit)
    figures = {"ratio": ratio, "claimed": claimed, "true": middle, "misfit": misfit}
    return Finding(met, f"{ratio:.2g}{'' if middle else ' of var y'}", figures)


def confidence(case: Case) -> Finding:
    """The ECE, less that which a perfectly calibrated model with these confidences has."""
    probabilities = _probabilities(case)
    sure, right = probabilities.max(1), probabilities.argmax(1) == case.y
    random = np.random.default_rng(0)
    perfect = [
        reliability(sure, random.random(len(sure)) < sure).calibration_error for _ in range(DRAWS)
    ]
    ece = reliability(sure, right).calibration_error
    beyond, own = float(ece - np.mean(perfect)), float(np.std(perfect))
    figures = {
        "ece": ece,
        "beyond": beyond,
        "error": own,
        "over_confidence": float(np.mean(sure) - np.mean(right)),
        "accuracy": accuracy(probabilities, case.y),
    }
    cell = f"{beyond:+.4f} ({own:.4f}); {figures['over_confidence']:+.3f}"
    return Finding(beyond <= ECE_BEYOND + SIGMAS * own, cell, figures)


def log_loss(case: Case) -> Finding:
    """Nats per row beside the base rates of the training rows, logistic regression, the truth.

    Only the defaults of `train` promise to be near logistic regression.
    """
    classes = len(case.predictor.card.target.classes)
    ours = _nats(_probabilities(case), case.y)
    x, y = case.training
    rates = np.bincount(y, minlength=classes) / len(y)
    base = _nats(np.tile(rates, (len(case.y), 1)), case.y)
    fitted = LogisticRegression(max_iter=5_000).fit(x, y)
    known = np.zeros((len(case.y), classes))
    known[:, fitted.classes_] = fitted.predict_proba(case.x)
    logistic = _nats(known, case.y)
    behind = {"base rates": _behind(ours, base), "logistic": _behind(ours, logistic)}
    figures = {"nats": float(ours.mean()), **behind}
    if case.truth is not None and case.truth.probabilities is not None:
        figures["truth"] = _behind(ours, _nats(case.truth.probabilities, case.y))
    (over_base, base_error), (over_logistic, error) = behind.values()
    near = over_logistic <= BEHIND + SIGMAS * error or not case.network.default
    met = near and over_base <= SIGMAS * base_error
    cell = f"{ours.mean():.3f}: {over_base:+.3f}, {over_logistic:+.3f}"
    return Finding(met, cell, figures)


def _probabilities(case: Case) -> np.ndarray:
    """[B, K]."""
    return np.asarray(_columns(case, PredictOptions(seed=SEEDS))["mean"])


def _nats(probabilities: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Log loss of each row."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(actual)), actual], TINY)))


def _behind(ours: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The mean of the rows' differences, and its standard error."""
    gap = ours - other
    return float(gap.mean()), float(gap.std() / np.sqrt(len(gap)))


def p_values(case: Case) -> Finding:
    """The share of fresh rows with p-values up to each level, of every p-value there is.

    Under masks of their own: those of one request spread together, which says nothing of the law.
    """
    columns = _columns(case, PredictOptions(seed=SEEDS, masks="per_row"))
    count, found, met, cells = case.predictor.card.training.rows["calibration"], {}, True, []
    for name in (name for name in columns if name.endswith("_p_value")):
        values = np.asarray(columns[name], dtype=float)
        shares = {f"{level:g}": float(np.mean(values <= level)) for level in P_LEVELS}
        for level, share in zip(P_LEVELS, shares.values(), strict=True):
            slack = 1 / (count + 1) + SIGMAS * _error(level, count, len(values))
            met &= abs(share - level) <= slack
        found[name] = shares
        cells.append(" ".join(f"{100 * share:.1f}" for share in shares.values()))
    return Finding(met, "; ".join(cells), found)
