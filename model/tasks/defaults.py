"""The training options for a task and a number of rows, where the user gives none."""

from dataclasses import dataclass

USUAL_WIDTHS = (100, 100)  # of the hidden layers
USUAL_RATE = 0.1  # of dropout of a single network
LEAST_EPOCHS = 10
SMALL_TABLE = 1_200  # rows up to which a weight decay and a dropout rate of 0.1 were best
LEAST_SHARE = 0.1  # of that rate: the least rate for many rows
LARGE_TABLE = 5_000  # rows from which three layers are better than two
ENSEMBLE_RATE = 0.02
USUAL_RATES = (0.005, 0.02, 0.05)  # of an ensemble


@dataclass(frozen=True, slots=True)
class BriefTraining:
    """About `steps` mini-batches at a dropout rate, and with a weight decay times the usual one."""

    steps: int
    dropout: float
    decay_ratio: float


@dataclass(frozen=True, slots=True)
class TrainingDefaults:
    """The training options that suit a task and a number of training rows.

    `rates` of dropout are those among which validation rows choose for an ensemble; `dropout` is
    the rate of a single network. `weight_decays` has one value, or a mild and a strong one, between
    which validation rows choose. Training takes about `steps` mini-batches, and at least `epochs`.
    Where validation rows say so, it takes `longer` times as many epochs; 0: they are not asked.
    Beside that, they may choose `brief`: few steps under much dropout and weight decay.
    """

    hidden: tuple[int, ...]
    dropout: float
    rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    epochs: int
    steps: int
    longer: int
    brief: BriefTraining | None


def regression_defaults(rows: int) -> TrainingDefaults:
    """Less weight decay and dropout, and a third layer, for many rows.

    The more rows there are, the less the prior weighs: in the objective of Gal and Ghahramani 2016
    the weight decay is proportional to 1 / rows. The values were chosen on validation rows of six
    small regressions. Training does not stop early: means improve long after the likelihood of
    validation rows has begun to fall, and `Regression.tuned` corrects the noise. The brief training
    is for targets with much noise, which more steps memorise; it was chosen on generated tables and
    on scikit-learn's diabetes.
    """
    share = min(1.0, SMALL_TABLE / rows)
    deep = rows >= LARGE_TABLE
    return TrainingDefaults(
        hidden=(*USUAL_WIDTHS, USUAL_WIDTHS[-1]) if deep else USUAL_WIDTHS,
        dropout=round(USUAL_RATE * max(share, LEAST_SHARE), 4),  # never none
        rates=USUAL_RATES,
        weight_decays=(0.1 * share,),
        epochs=LEAST_EPOCHS,
        steps=5_000,
        longer=3,
        brief=BriefTraining(steps=500, dropout=0.3, decay_ratio=30),
    )
