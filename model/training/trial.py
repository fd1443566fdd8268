"""Networks of several encodings and dropout rates, trained at once for a choice among them.

Passes of several networks are pooled, as those of an ensemble's members are. Their pooled log
density on validation rows judges a choice: a network that fits worse alone may be the better part
of an ensemble.

Shapes: M networks, P passes of each, B validation rows, O outputs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.passes import MLP, Ensemble, in_order
from model.tasks import Task
from model.training.fit import Dataset
from model.training.plan import Encoding, Plan, Variant

PASSES, SEED = 24, 0  # of each network
MOST_ROWS = 1_000  # of the validation rows that judge


@dataclass(frozen=True, slots=True)
class Trial:
    """The plan of a trial, and the encoding and the rate (None: as given) of each network."""

    plan: Plan
    kinds: tuple[Encoding, ...]
    rates: tuple[float | None, ...]

    @classmethod
    def of(cls, plan: Plan, kinds: Sequence[Encoding], count: int) -> "Trial":
        """Networks of each kind at each of the plan's rates, and at least `count` of each kind.

        A plan of one member has one of each kind and rate.
        """
        rates: list[float | None] = list(plan.rates) or [None]
        if plan.members > 1:
            rates *= -(-count // len(rates))
        made = [(kind, rate) for kind in kinds for rate in rates]
        variants = tuple(
            Variant(
                plan.dropout if rate is None else (rate,) * len(plan.hidden),
                plan.weight_decays[0],
                raw=kind == "raw",
            )
            for kind, rate in made
        )
        return cls(
            replace(plan, trial=variants),
            tuple(kind for kind, _ in made),
            tuple(rate for _, rate in made),
        )

    def judged(self, task: Task[Any], networks: Ensemble, rows: Dataset) -> "Judged":
        """The passes of the trained networks over validation rows."""
        some = torch.from_numpy(
            np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)
        )
        x, y = rows.x[some], rows.y[some]
        with torch.inference_mode():
            outputs = [_outputs(network, x) for network in networks]
        actual = y.double().numpy() if y.is_floating_point() else y.numpy()
        return Judged(self, task, tuple(networks), outputs, actual)


@dataclass(frozen=True, slots=True)
class Judged:
    """The outputs [P, B, O] of the networks of a trial, and the targets that judge them."""

    trial: Trial
    task: Task[Any]
    networks: tuple[MLP, ...]
    outputs: Sequence[Tensor]
    actual: np.ndarray

    def by_encoding(self) -> Mapping[Encoding, np.ndarray]:
        """The log densities [B] of networks of each encoding; as many networks of each."""
        kinds = list(dict.fromkeys(self.trial.kinds))
        found: dict[Encoding, np.ndarray] = {
            kind: self._densities([at for at in self._all if self.trial.kinds[at] == kind])
            for kind in kinds
        }
        if len(kinds) > 1 and self.trial.plan.members > 1:
            half = len(self._all) // 2
            turns = [
                [at + half * ((at + first) % 2) for at in range(half)]  # as many as of one kind
                for first in (0, 1)
            ]
            found["mixed"] = np.mean([self._densities(turn) for turn in turns], axis=0)
        return found

    def by_rate(self, encoding: Encoding) -> dict[float, np.ndarray]:
        """The log densities [B] of the networks of that encoding at each rate; none if given."""
        rates = {rate for rate in self.trial.rates if rate is not None}
        if len(rates) < 2:
            return {}
        return {
            rate: self._densities([at for at in self._of(encoding) if self.trial.rates[at] == rate])
            for rate in sorted(rates)
        }

    def nearest(self, encoding: Encoding, rate: float, count: int) -> Ensemble:
        """The networks of that encoding whose rates are nearest; of the mixed one, of each kind."""
        networks = []
        for kind in dict.fromkeys(self.trial.kinds):
            if encoding in ("mixed", kind):
                own = [at for at in self._all if self.trial.kinds[at] == kind]
                own.sort(key=lambda at: _apart(self.trial.rates[at], rate))
                networks += [self.networks[at] for at in own[:count]]
        return Ensemble(networks)

    @property
    def _all(self) -> range:
        return range(len(self.networks))

    def _of(self, encoding: Encoding) -> list[int]:
        kinds = self.trial.kinds
        return [at for at in self._all if encoding in ("mixed", kinds[at])]

    def _densities(self, chosen: Sequence[int]) -> np.ndarray:
        """The log density [B] under the pooled passes of some networks, after tuning by it.

        -inf if one of the networks has overflowed.
        """
        outputs = torch.stack([self.outputs[at] for at in chosen], 1).flatten(0, 1)
        true, members = self.actual, len(chosen)  # pass k is of network k mod `members`
        if not outputs.isfinite().all():
            return np.full(len(true), -np.inf)
        tuning = self.task.tuned(self.task.values(outputs).double().numpy(), true, members)
        if powers := tuning.noise_powers:
            outputs = outputs.clone()
            outputs[..., -len(powers) :] *= torch.tensor(powers)
        tuned = replace(self.task, tuning=tuning)  # type: ignore[type-var]
        values = tuned.values(outputs).double().numpy()
        return np.asarray(tuned.log_density(values, true, members).sum(-1))


def _apart(tried: float | None, rate: float) -> float:
    """How far a rate that was tried is from another, on the scale of logarithms; 0 if given."""
    return 0.0 if tried is None else abs(math.log(tried / rate))


def networks_at(networks: Ensemble, rates: Sequence[float]) -> Ensemble:
    """The same networks with the dropout rates of one network, the input's first."""
    members = []
    for network in networks:
        member = MLP(replace(network.config, dropout=tuple(rates)))
        member.load_state_dict(network.state_dict())
        members.append(member.requires_grad_(False))
    return Ensemble(members)


def without_inputs(networks: Ensemble, columns: np.ndarray) -> Ensemble:
    """The networks without the inputs [D] of weight 0."""
    kept = torch.from_numpy(~columns)
    members = []
    for network in networks:
        state = network.state_dict()
        first = next(name for name in state if name.endswith("layers.0.weight"))
        state[first] = state[first][:, kept].clone()
        member = MLP(replace(network.config, inputs=int(kept.sum())))
        member.load_state_dict(state)
        members.append(member.requires_grad_(False))
    return Ensemble(members)


def _outputs(network: MLP, x: Tensor) -> Tensor:
    """The outputs [P, B, O] of the passes of one network, each row under its own masks."""
    parts = Ensemble([network]).outputs(x, SEED, passes=range(PASSES), row_ids=torch.arange(len(x)))
    return in_order(list(parts))
