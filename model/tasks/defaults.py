"""The training options for a task and a number of rows, where the user gives none."""

from dataclasses import dataclass

USUAL_WIDTHS = (100, 100)  # of the hidden layers
USUAL_RATE = 0.1  # of dropout


@dataclass(frozen=True, slots=True)
class TrainingDefaults:
    """The training options that suit a task and a number of training rows.

    `weight_decays` has one value, or a mild and a strong one, between which validation rows choose.
    """

    hidden: tuple[int, ...]
    dropout: float
    weight_decays: tuple[float, ...]
    epochs: int
    least_steps: int  # mini-batches: a small table trains for more epochs, until it has so many
