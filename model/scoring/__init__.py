"""Score a file: a file of rows, larger than memory, becomes a file of predictions."""

from model.scoring.flat import FlatColumn, flat_columns
from model.scoring.formats import Format
from model.scoring.output import PARTIAL
from model.scoring.score import Score, ScoreOptions, score_file
from model.scoring.scorer import Refusal

__all__ = [
    "PARTIAL",
    "FlatColumn",
    "Format",
    "Refusal",
    "Score",
    "ScoreOptions",
    "flat_columns",
    "score_file",
]
