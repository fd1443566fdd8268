"""The training options for a task and a number of rows, where the user gives none."""

from dataclasses import dataclass

USUAL_WIDTHS = (100, 100)  # of the hidden layers
USUAL_RATE = 0.1  # of dropout of a single network
LEAST_EPOCHS = 10
ENSEMBLE_RATE = 0.02
USUAL_RATES = (0.005, 0.02, 0.05)  # of an ensemble


@dataclass(frozen=True, slots=True)
class TrainingDefaults:
    """The training options that suit a task and a number of training rows.

    `rates` of dropout are those among which validation rows choose for an ensemble; `dropout` is
    the rate of a single network. `weight_decays` has one value, or a mild and a strong one, between
    which validation rows choose. Training takes about `steps` mini-batches, and at least `epochs`.
    Where validation rows say so, it takes `longer` times as many epochs; 0: they are not asked.
    """

    hidden: tuple[int, ...]
    dropout: float
    rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    epochs: int
    steps: int
    longer: int
