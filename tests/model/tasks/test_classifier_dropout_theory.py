"""What dropout teaches a classifier, shown: each test is one sentence of the theory."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.calibration.temperature import log_loss
from model.data.schema import Target
from model.formulas.entropies import mutual_information
from model.passes.chunks import run
from model.passes.estimate import entropy
from model.passes.network import MLP, MLPConfig, Noise
from model.tasks.classification import Classification
from model.training.fit import Dataset, fit, initialised
from model.training.plan import TrainOptions

TASK = Classification(Target(("y",), ("left", "right"), (), (), (None,)))
OPTIONS = TrainOptions(
    members=1, number_encoding="raw", hidden=(50, 50), dropout=(0.2,), epochs=100, batch=32
)
PASSES = 200


def clouds(count: int, seed: int) -> Dataset:
    """Two classes that overlap, left and right of x0 = 0, with |x1| mostly below 2."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    x = 0.8 * torch.randn(count, 2, generator=generator)
    x[:, 0] += 2.0 * y - 1
    return Dataset(x, y)


@pytest.fixture(scope="module")
def network() -> MLP:
    """Trained by dropout on 120 rows, to the end."""
    training = clouds(120, 0)
    return fit(TASK, training, training, OPTIONS.plan(TASK, 120)).networks.members[0]


def logits(network: MLP, x: Tensor, passes: int = PASSES) -> Tensor:
    """[P, B, K]"""
    with torch.inference_mode():
        return torch.cat(list(run(network, x, 0, passes=range(passes))))


def information(outputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The mutual information and the expected entropy [B] of logits [P, B, K]."""
    p = outputs.double().softmax(-1)
    expected = entropy(p).mean(0).numpy()
    mean, variance = p.mean(0).numpy(), p.var(0).numpy()
    return mutual_information(mean, variance, expected, len(p)), expected


def test_the_average_of_the_passes_is_less_sure_than_the_network_with_dropout_off(
    network: MLP,
) -> None:
    """Of what it knows by heart and of fresh rows alike; on those it is punished less for it."""
    test = clouds(2000, 1)
    outputs, off = logits(network, test.x), network(test.x)
    averaged = outputs.softmax(-1).mean(0).amax(-1).mean()
    assert averaged < off.softmax(-1).amax(-1).mean()
    assert log_loss(outputs.numpy(), test.y.numpy()) < TASK.loss(off, test.y).item()


def test_the_mean_of_probabilities_is_not_the_softmax_of_mean_logits(network: MLP) -> None:
    outputs = logits(network, clouds(200, 1).x)
    of_probabilities = outputs.softmax(-1).mean(0).amax(-1)
    of_logits = outputs.mean(0).softmax(-1).amax(-1)
    assert (of_probabilities < of_logits).double().mean() > 0.9


def test_passes_agree_on_a_row_between_the_classes_and_disagree_far_away(
    network: MLP,
) -> None:
    """Noise in the labels is expected entropy, a lack of rows is mutual information."""
    between = torch.tensor([[0.0, 0.0], [0.0, 0.3], [0.0, -0.3]])
    far = torch.tensor([[0.0, 9.0], [0.0, -9.0], [0.5, 9.0]])
    known, ambiguous = information(logits(network, between))
    unknown, _ = information(logits(network, far))
    assert ambiguous.min() > 0.3
    assert unknown.mean() > 4 * known.mean()


def test_no_information_without_dropout(network: MLP) -> None:
    config = MLPConfig(inputs=2, hidden=(50, 50), outputs=2, dropout=(0.0, 0.0, 0.0))
    still = initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)
    still.load_state_dict(network.state_dict())
    found, _ = information(logits(still, clouds(50, 1).x, passes=4))
    assert found == pytest.approx(np.zeros(50), abs=1e-9)


def test_a_pass_that_drops_a_whole_layer_gives_every_row_the_same_classes(network: MLP) -> None:
    """What is left is the bias path: the class that is likely where nothing is known."""
    x = clouds(5, 1).x
    nothing = Noise((None, None, torch.zeros(1, 1, 50)))
    with torch.inference_mode():
        found = network(x, nothing)[0].softmax(-1)
    expected = network.linears()[-1].bias.softmax(-1)
    torch.testing.assert_close(found, expected.expand(5, 2))


def test_a_classifier_survives_training_with_whole_layers_dropped() -> None:
    """Of two units at p = .7 every other pass drops all: it learns what is left to learn."""
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(2, 8), dropout=(0.7, 0.1), epochs=60, batch=32
    )
    training, test = clouds(200, 0), clouds(1000, 1)
    losses: list[float] = []
    network = fit(
        TASK,
        training,
        training,
        options.plan(TASK, 200),
        lambda epoch: losses.append(epoch.training_loss),
    ).networks.members[0]
    assert all(map(math.isfinite, losses))
    outputs = logits(network, test.x)
    dropped = (outputs == outputs[:, :1]).all(-1).all(-1)  # passes that see no row, [P]
    assert dropped.double().mean().item() == pytest.approx(0.49, abs=0.12)
    right = outputs.softmax(-1).mean(0).argmax(-1) == test.y
    assert right.double().mean() > 0.8
