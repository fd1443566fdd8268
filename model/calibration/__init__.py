"""Everything that held-out rows fit: regions, noise, temperature, abstention, distances."""

from model.calibration import novelty
from model.calibration.abstention import (
    Abstention,
    Acceptance,
    Level,
    Risk,
    error_rate,
    root_mean_square,
)
from model.calibration.error_bars import (
    BLOCKS,
    KNOTS,
    MOST_ROWS,
    Allowance,
    Quantities,
    Quantity,
    learned,
    tolerated,
    widened,
)
from model.calibration.factors import Factors
from model.calibration.label_sets import tuned_classes
from model.calibration.noise import CLAIMS, NoiseScales, rescaled, tuned_noise
from model.calibration.novelty import MOST_INPUTS, Likeness, Similarity
from model.calibration.regions import Calibration, accepts, judged, promise
from model.calibration.temperature import fit_temperature
from model.calibration.tuning import NoiseKind, Tuning

__all__ = [
    "BLOCKS",
    "CLAIMS",
    "KNOTS",
    "MOST_INPUTS",
    "MOST_ROWS",
    "Abstention",
    "Acceptance",
    "Allowance",
    "Calibration",
    "Factors",
    "Level",
    "Likeness",
    "NoiseKind",
    "NoiseScales",
    "Quantities",
    "Quantity",
    "Risk",
    "Similarity",
    "Tuning",
    "accepts",
    "error_rate",
    "fit_temperature",
    "judged",
    "learned",
    "novelty",
    "promise",
    "rescaled",
    "root_mean_square",
    "tolerated",
    "tuned_classes",
    "tuned_noise",
    "widened",
]
