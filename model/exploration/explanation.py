"""What an explanation of one row says: numbers, each with its Monte-Carlo error."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimated:
    """A number and its Monte-Carlo standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class LayerShare:
    """The part of a dropout layer, or of Gaussian input noise, in the variance of the passes.

    `rate` is None for Gaussian noise. `variance` is the Shapley effect; the effects of all layers
    add up to the variance. `alone` is the variance of the mean over the other layers' masks, the
    part that this layer explains without the others. `total` is the mean variance that is left
    when the masks of all other layers are known; it counts each interaction in full.
    """

    layer: str
    rate: float | None
    variance: Estimated
    alone: Estimated
    total: Estimated


@dataclass(frozen=True, slots=True)
class FeatureShare:
    """The part of a feature in the std; the parts add up to std - background std.

    `value` is that of the row, None if the model fills it in.
    """

    feature: str
    value: float | str | None
    std: Estimated


@dataclass(frozen=True, slots=True)
class BackgroundStd:
    """The training rows with which the features of a row are compared, and their mean std."""

    rows: int
    std: Estimated


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the variance of one row across the passes comes from.

    `of` is the target or the class that is explained. `interactions` is the variance that no layer
    explains alone. `features` is None if the model keeps no training rows; `note` then says so.
    """

    of: str
    passes: int
    seed: int
    mean: Estimated
    variance: Estimated
    std: Estimated
    layers: tuple[LayerShare, ...]
    interactions: Estimated
    features: tuple[FeatureShare, ...] | None
    background: BackgroundStd | None
    note: str | None = None
