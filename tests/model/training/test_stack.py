"""A step of all members at once is the step of each member alone."""

from typing import Any, get_args

import pytest
import torch

from model.calibration import Tuning
from model.data.schema import Target
from model.passes.masks import draw_noise
from model.passes.network import ActivationName, Noise
from model.tasks.classification import Classification
from model.tasks.regression import Regression
from model.tasks.task import Task
from model.training.adamw import CLIP_NORM
from model.training.fit import initialised
from model.training.plan import TrainOptions
from model.training.stack import Stack

REGRESSION = Regression(Target(("y",), (), (0.0,), (1.0,), (None,)))
CLASSIFICATION = Classification(Target(("y",), ("a", "b", "c"), (), (), (None,)))
LEARNED_NOISE = Regression(REGRESSION.target, Tuning(noise="heteroscedastic"))
TWO_TARGETS = Regression(
    Target(("y", "z"), (), (0.0, 0.0), (1.0, 1.0), (None, None)), LEARNED_NOISE.tuning
)


@pytest.mark.parametrize("masked", [False, True], ids=["all inputs", "masked inputs"])
@pytest.mark.parametrize("activation", get_args(ActivationName))
@pytest.mark.parametrize(
    "task",
    [REGRESSION, LEARNED_NOISE, TWO_TARGETS, CLASSIFICATION],
    ids=["homoscedastic", "heteroscedastic", "two targets", "classes"],
)
def test_the_gradient_of_all_members_at_once_is_that_of_autograd_for_each_alone(
    task: Task[Any], activation: ActivationName, masked: bool
) -> None:
    """One step of three members on 40 rows, with dropout and input noise.

    Masked, the second member sees two of the three inputs.
    """
    options = TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=(16, 8),
        activation=activation,
        input_dropout=0.1,
        input_noise=0.2,
        seed=3,
    )
    config = options.plan(task, 40).config(inputs=3, outputs=task.outputs)
    seen = torch.tensor([[1.0, 1, 1], [1, 0, 1], [1, 1, 1]]) if masked else None
    generators = [torch.Generator().manual_seed(m) for m in range(3)]
    members, alone = (
        [
            initialised(config, g.manual_seed(m), seen=None if seen is None else seen[m])
            for m, g in enumerate(generators)
        ]
        for _ in range(2)
    )
    x = torch.randn(3, 40, 3, generator=generators[0])
    y = (
        torch.randint(3, (3, 40), generator=generators[0])
        if task is CLASSIFICATION
        else 3 * torch.randn(3, 40, task.linear, generator=generators[0])
    )
    noises = [draw_noise(config, m, range(1), torch.arange(40)) for m in range(3)]
    noise = Noise(
        tuple(torch.cat([n.masks[site] for n in noises]) for site in range(3)),
        torch.cat([n.inputs for n in noises]),
    )
    stack = Stack(members, weight_decays=[0.1, 0.2, 0.3], seen=seen)
    stack.optimizer.rate = 1e-2
    losses = stack.step(x, y, noise, task.loss_gradient)
    for m, network in enumerate(alone):
        found = task.loss(network(x[m], noises[m])[0], y[m])
        found.backward()  # type: ignore[no-untyped-call]
        first = network.linears()[0].weight
        first.grad *= 1 if seen is None else seen[m]
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        assert losses[m].item() == pytest.approx(found.item(), rel=1e-5)
        for ours, theirs in zip(members[m].parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    if masked:
        assert not members[1].linears()[0].weight[:, 1].any()
