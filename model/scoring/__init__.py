"""Score a file: a file of rows, larger than memory, becomes a file of predictions."""

from model.scoring.formats import Format
from model.scoring.output import PARTIAL
from model.scoring.rank import Ranked, rank, rank_file, ranked_as
from model.scoring.score import Engine, Score, ScoreOptions, score_file
from model.scoring.scorer import Refusal

__all__ = [
    "PARTIAL",
    "Engine",
    "Format",
    "Ranked",
    "Refusal",
    "Score",
    "ScoreOptions",
    "rank",
    "rank_file",
    "ranked_as",
    "score_file",
]
