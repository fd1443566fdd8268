"""How to train: the options of a caller, and the plan made of them for a task and its rows."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from model.calibration import NoiseKind
from model.errors import Detail, InputError
from model.messages import shown
from model.options import use_builtins
from model.passes import MOST_MEMBERS, ActivationName, MLPConfig
from model.tasks import USUAL_RATE, USUAL_WIDTHS, BriefTraining, Task
from model.training.rate_search import RATES

Encoding = Literal["raw", "piecewise", "mixed"]
"""What the networks see: standardised numbers (`raw`), their piecewise-linear codes beside them
(`piecewise`), or raw and piecewise members in turn (`mixed`)."""

LEARN: Literal["learn"] = "learn"
SEARCH: Literal["search"] = "search"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train; `Task.defaults` has the values of the options that are None.

    `members` is the number of networks of an ensemble. `number_encoding` says what the networks see
    of a number: with "raw" the standardised number, with "piecewise" its piecewise-linear code
    beside it; with "mixed" the members do this and that in turn; with "auto", validation rows
    choose.
    `hidden` has the widths of the hidden layers. `dropout` is one rate for all hidden layers, or
    one rate per hidden layer. Without it, validation rows choose a rate for all hidden layers; with
    "search" they choose among more rates; with "learn", `concrete_dropout` finds one for each.

    `noise` is for a regression: homoscedastic noise is the same for every row; heteroscedastic
    noise has a variance for every row, which the network learns too.

    Without `epochs`, training takes as many as make about the number of mini-batches that the task
    needs; a regression with hardly any noise three times as many, if validation rows say so, and
    one with much noise a tenth, under more dropout and weight decay. `learning_rate` falls to zero
    along a half cosine over `epochs`. After `patience` epochs without a better validation loss,
    training stops and keeps the best weights; without `patience` training runs to the end. By
    default a classifier tries two values of `weight_decay`, and validation rows choose. With
    `refit` the networks are trained again on the training and validation rows, with all that was
    chosen. Raises InputError naming the option.
    """

    members: int = 5
    number_encoding: Literal["auto"] | Encoding = "auto"
    hidden: tuple[int, ...] | None = None
    dropout: tuple[float, ...] | Literal["search", "learn"] | None = None
    input_dropout: float = 0.0
    input_noise: float = 0.0
    activation: ActivationName = "relu"
    noise: NoiseKind = "heteroscedastic"
    epochs: int | None = None
    patience: int | None = None
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float | None = None
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        use_builtins(self)
        layers = len(USUAL_WIDTHS if self.hidden is None else self.hidden)
        given = None if isinstance(self.dropout, str) else self.dropout
        count = 1 if given is None else len(given)
        for ok, field, message in (
            (
                not isinstance(self.dropout, str) or self.dropout in (SEARCH, LEARN),
                "dropout",
                f"rates, {SEARCH!r} or {LEARN!r}, not {shown(self.dropout)}",
            ),
            (
                self.number_encoding in ("auto", *get_args(Encoding)),
                "number_encoding",
                f"auto, raw, piecewise or mixed, not {shown(self.number_encoding)}",
            ),
            (
                count in (1, layers),
                "dropout",
                f"one rate, or one per hidden layer ({layers}), not {count}",
            ),
            (_positive(self.epochs), "epochs", f"at least 1, not {self.epochs}"),
            (_positive(self.patience), "patience", f"at least 1, not {self.patience}"),
            (
                1 <= self.members <= MOST_MEMBERS,
                "members",
                f"from 1 to {MOST_MEMBERS}, not {self.members}",
            ),
            (self.batch >= 1, "batch", f"at least 1, not {self.batch}"),
            (0 <= self.seed < 1 << 63, "seed", f"lies in [0, 2^63), not {self.seed}"),
            (
                0 < self.learning_rate < math.inf,
                "learning_rate",
                f"must be above 0, not {self.learning_rate}",
            ),
            (
                self.weight_decay is None or 0 <= self.weight_decay < math.inf,
                "weight_decay",
                f"must be 0 or more, not {self.weight_decay}",
            ),
        ):
            if not ok:
                raise InputError(f"{field}: {message}", [Detail(field, message)])
        self._plan(USUAL_WIDTHS, USUAL_RATE).config(inputs=1, outputs=1)  # checks the rest

    def plan(self, task: Task[Any], rows: int) -> "Plan":
        """The plan for a task and a number of training rows."""
        usual = task.defaults(rows)
        steps = math.ceil(rows / self.batch)  # of an epoch
        epochs = max(usual.epochs, round(usual.steps / steps))
        decays = usual.weight_decays if self.weight_decay is None else (self.weight_decay,)
        plan = self._plan(
            usual.hidden,
            usual.dropout,
            rates=usual.rates if self.dropout is None and self.members > 1 else (),
            epochs=self.epochs or epochs,
            longer=0 if self.epochs else usual.longer * epochs,
            weight_decays=decays,
        )
        if not usual.brief or self.epochs or isinstance(self.dropout, str):
            return plan
        return replace(plan, brief=self._brief(plan, usual.brief, steps))

    def _brief(self, plan: "Plan", brief: BriefTraining, steps: int) -> "Plan":
        """The plan of a brief training; `steps`: of an epoch. Options that are given stay."""
        rates = (brief.dropout,) * len(plan.hidden)
        ratio = brief.decay_ratio if self.weight_decay is None else 1
        return replace(
            plan,
            dropout=rates if self.dropout is None else plan.dropout,
            rates=(),
            epochs=max(1, round(brief.steps / steps)),
            longer=0,
            weight_decays=(plan.weight_decays[0] * ratio,),
        )

    def _plan(
        self,
        hidden: tuple[int, ...],
        rate: float,
        *,
        rates: tuple[float, ...] = (),
        epochs: int = 1,
        longer: int = 0,
        weight_decays: tuple[float, ...] = (0.0,),
    ) -> "Plan":
        """The plan with these values where the options name none."""
        widths = hidden if self.hidden is None else self.hidden
        given = (rate,) if self.dropout is None or isinstance(self.dropout, str) else self.dropout
        return Plan(
            members=self.members,
            encoding=self.number_encoding,
            hidden=widths,
            dropout=given * len(widths) if len(given) == 1 else given,
            find_dropout=self.dropout if isinstance(self.dropout, str) else "given",
            rates=RATES if self.dropout == SEARCH else rates,
            input_dropout=self.input_dropout,
            input_noise=self.input_noise,
            activation=self.activation,
            noise=self.noise,
            epochs=epochs,
            longer=longer,
            patience=self.patience or 0,
            batch=self.batch,
            learning_rate=self.learning_rate,
            weight_decays=weight_decays,
            refit=self.refit,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells a network from the others that train beside it.

    `dropout` has a rate for each hidden layer. A `raw` network does not see the codes of numbers.
    """

    dropout: tuple[float, ...]
    weight_decay: float
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How networks are trained, with a value for every option; see TrainOptions.

    `dropout` has a rate for each hidden layer; if there are `rates`, validation rows choose one of
    these for all layers, and if `find_dropout` is "learn", the rates are learned. With `encoding`
    "auto" validation rows choose it. They may also choose to train for `longer` epochs, unless that
    is 0, or by the plan `brief`. With `patience` 0 training runs to the end. A fit takes the first
    of `weight_decays`; if there is a second, validation rows choose between them. `trial` has the
    networks to train instead of the `members`, to choose among them.
    """

    members: int
    encoding: Literal["auto"] | Encoding
    hidden: tuple[int, ...]
    dropout: tuple[float, ...]
    find_dropout: Literal["given", "search", "learn"]
    rates: tuple[float, ...]
    input_dropout: float
    input_noise: float
    activation: ActivationName
    noise: NoiseKind
    epochs: int
    longer: int
    patience: int
    batch: int
    learning_rate: float
    weight_decays: tuple[float, ...]
    refit: bool
    seed: int
    trial: tuple[Variant, ...] = ()
    brief: "Plan | None" = None

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The networks to train: those of the trial, or the members."""
        return self.trial or self.alike(self.members)

    def alike(self, count: int) -> tuple[Variant, ...]:
        """So many networks with the dropout, the weight decay and the encoding of the plan."""
        raw = {"raw": (True,), "mixed": (False, True)}.get(self.encoding, (False,))
        decay = self.weight_decays[0]
        return tuple(Variant(self.dropout, decay, raw[at % len(raw)]) for at in range(count))

    def config(self, inputs: int, outputs: int) -> MLPConfig:
        """The architecture of the network."""
        return MLPConfig(
            inputs=inputs,
            hidden=self.hidden,
            outputs=outputs,
            dropout=(self.input_dropout, *self.dropout),
            activation=self.activation,
            input_noise=self.input_noise,
        )


def _positive(count: int | None) -> bool:
    return count is None or count >= 1
