"""How to train a network for a task and a number of rows, where no option says otherwise."""

from dataclasses import dataclass

USUAL_WIDTHS = (100, 100)  # of the hidden layers
USUAL_RATE = 0.1  # of dropout


@dataclass(frozen=True, slots=True)
class TrainingDefaults:
    """What suits a task and so many training rows.

    `weight_decays` has one, or a mild one and a strong one, of which validation rows choose.
    """

    hidden: tuple[int, ...]
    dropout: float
    weight_decays: tuple[float, ...]
    epochs: int
    least_steps: int  # mini-batches: a small table takes more epochs, until there are so many
