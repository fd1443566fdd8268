"""How the network compares with baselines on test rows: figures, and a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from model.data import Target
from model.formulas import scores
from model.messages import listed, readable
from model.tasks.scale import Scale

FEW_ROWS = 30  # fewer test rows get no verdict
BAND = 1.96  # standard errors of a difference that counts


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline on the test rows: its metrics, and how much more it loses than the network.

    `gain` is the mean over rows of the baseline's loss minus the network's, and `gain_error` the
    standard error of that mean. The loss is the squared error in units of the training std, or the
    negative log probability of the class in nats.
    """

    metrics: Mapping[str, float]
    gain: float
    gain_error: float

    @property
    def word(self) -> str:
        """How the network compares: better, worse, or no better as far as the rows show."""
        if abs(self.gain) <= BAND * self.gain_error:
            return "about as good as"
        return "better than" if self.gain > 0 else "worse than"


def compared(
    target: Target, predictions: np.ndarray, network: np.ndarray, actual: np.ndarray
) -> Comparison:
    """A baseline's predictions beside those of the network, both as `baselines` has them.

    `actual` is encoded.
    """
    worse = _losses(target, predictions, actual) - _losses(target, network, actual)
    error = float(worse.std(ddof=1)) / sqrt(len(worse)) if len(worse) > 1 else inf
    return Comparison(point_figures(target, predictions, actual), float(worse.mean()), error)


def point_figures(target: Target, predictions: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """The metrics of predictions as `baselines` has them; `actual` is encoded.

    Several targets are averaged in units of their training std.
    """
    if target.classes:
        return {
            "accuracy": scores.accuracy(predictions, actual),
            "log_loss": scores.log_loss(predictions, actual),
        }
    scale = Scale(target)
    unit = scale.unit if len(target.names) == 1 else np.ones(1)
    mean, true = scale.in_units(predictions) * unit, scale.encoded_in_units(actual) * unit
    return regression_figures(mean, true)


def regression_figures(mean: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """RMSE, MAE and R^2 of means [B, T]; without R^2 where a target does not vary."""
    share = scores.r_squared(mean, true)
    known = {} if np.isnan(share) else {"r2": share}
    return {"rmse": scores.rmse(mean, true), "mae": scores.mae(mean, true)} | known


def comparison_in_words(
    metrics: Mapping[str, float | None], found: Mapping[str, Comparison], rows: int
) -> str:
    """One sentence: how the network, of these metrics, compares with each baseline."""
    if not found:
        return ""
    if rows < FEW_ROWS:
        return f"{rows} rows are too few to compare the model with baselines; it takes {FEW_ROWS}."
    key, title = ("log_loss", "log loss") if "log_loss" in metrics else ("rmse", "RMSE")
    value = metrics[key]
    parts = []
    for word in ("better than", "about as good as", "worse than"):
        names = [
            f"{_with_article(name)} ({readable(each.metrics[key], 3)})"
            for name, each in found.items()
            if each.word == word
        ]
        parts += [f"{word} {listed(names)}"] if names else []
    share = metrics.get("r2")
    explained = "" if share is None else f" (R^2 {share:.2f})"
    known = "unknown" if value is None else readable(value, 3)
    return f"By {title}, {known}{explained}, the model is {'; '.join(parts)}."


def _with_article(name: str) -> str:
    return (
        f"the {name}"
        if name in ("mean", "base rates")
        else (name if name.endswith("s") else f"a {name}")
    )


def _losses(target: Target, predictions: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """The loss [B] of each row; see `Comparison`."""
    if target.classes:
        chosen = predictions[np.arange(len(actual)), actual]
        return np.asarray(-np.log(np.maximum(chosen, scores.LEAST_PROBABILITY)))
    scale = Scale(target)
    errors = scale.in_units(predictions) - scale.encoded_in_units(actual)
    return np.asarray((errors**2).mean(1))
