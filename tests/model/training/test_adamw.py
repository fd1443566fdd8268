"""A step on one vector is AdamW's on the parameters, each by itself."""

import torch
from torch import Tensor, nn

from model.training.adamw import CLIP_NORM, AdamW


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def loss(net: nn.Module, step: int, size: float) -> Tensor:
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(step))
    return net(x).square().sum() * size


def test_steps_are_those_of_adamw_with_a_clipped_gradient() -> None:
    """Of large losses, whose gradients are clipped, and of small ones; with a rate that falls."""
    ours, theirs = network(), network()
    optimizer = AdamW(ours.parameters(), weight_decays=[0.2])
    adam = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.2)
    norms = []
    for step in range(20):
        size = 1e-2 if step % 2 else 10.0
        optimizer.rate = adam.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimizer.minimise(loss(ours, step, size))
        adam.zero_grad()
        loss(theirs, step, size).backward()
        norms.append(nn.utils.clip_grad_norm_(theirs.parameters(), CLIP_NORM).item())
        adam.step()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    assert min(norms) < CLIP_NORM < max(norms)


def test_the_weights_are_the_parameters_themselves() -> None:
    net = network()
    optimizer = AdamW(net.parameters(), weight_decays=[0.0])
    optimizer.rate = 0.1
    before = optimizer.weights.clone()
    optimizer.minimise(loss(net, 0, 1.0))
    assert not torch.equal(optimizer.weights, before)
    assert torch.equal(nn.utils.parameters_to_vector(net.parameters()), optimizer.weights)
    optimizer.weights.copy_(before)
    assert torch.equal(nn.utils.parameters_to_vector(net.parameters()), before)


def test_each_network_has_its_own_weight_decay() -> None:
    """The parameters of the second network follow those of the first."""
    together, alone = (network(), network()), (network(), network())
    both = [part for net in together for part in net.parameters()]
    optimizer = AdamW(both, weight_decays=[0.0, 0.5])
    others = [
        AdamW(n.parameters(), weight_decays=[d]) for n, d in zip(alone, (0, 0.5), strict=True)
    ]
    for each in (optimizer, *others):
        each.rate = 0.1
    for _ in range(3):
        optimizer.minimise(sum((loss(net, 0, 1.0) for net in together), torch.zeros(())))
        for net, other in zip(alone, others, strict=True):
            other.minimise(loss(net, 0, 1.0))
    for one, two in zip(both, [p for net in alone for p in net.parameters()], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
