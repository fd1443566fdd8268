"""The compiled kernel beside torch: the same masks, so the same numbers to float32 rounding."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration import Tuning
from model.data import Target
from model.passes import fused
from model.passes.ensemble import Ensemble, EnsembleSampler, pooled_members, pooled_numbers
from model.passes.estimate import Estimate
from model.passes.fused import fits, kernel_of, variants
from model.passes.network import ACTIVATIONS, MLPConfig, Norm
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, ReducedSampler, Sampler
from model.tasks.classification import Classification
from tests.model.passes.kernels import (
    by_kernel,
    check_same,
    inputs,
    magnitude,
    networks,
)

pytestmark = pytest.mark.skipif(
    not variants() and not os.environ.get("CI"), reason="the kernel is not compiled"
)


def by_torch(
    nets: Ensemble, linear: int, batch: Batch, passes: int, *, reduced: bool, controls: bool
) -> Sequence[Estimate]:
    """The members' estimates of the samplers."""
    samplers: list[Sampler] = [
        ReducedSampler.of(net, batch, Reduction(net, linear, controls=controls))
        if reduced
        else PlainSampler.of(net, batch, lambda outputs: outputs)
        for net in nets
    ]
    EnsembleSampler(samplers).take(range(passes))
    return [sampler.estimate(len(nets)) for sampler in samplers]


@st.composite
def configs(draw: st.DrawFn) -> MLPConfig:
    hidden = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    rates = draw(st.tuples(*[st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7])] * (len(hidden) + 1)))
    if not any(rates):
        rates = (0.1, *rates[1:])
    return MLPConfig(
        inputs=draw(st.integers(1, 20)),
        hidden=hidden,
        outputs=draw(st.integers(1, 5)),
        dropout=rates,
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
    )


@settings(deadline=None, max_examples=60)
@given(config=configs(), data=st.data())
def test_the_kernel_gives_the_numbers_of_torch(config: MLPConfig, data: st.DataObject) -> None:
    rows = data.draw(st.sampled_from([1, 2, 7, 16, 33, 70]), label="rows")
    passes = data.draw(st.integers(6, 120) | st.just(1600), label="passes")
    linear = data.draw(st.integers(1, config.outputs), label="linear")
    controls = data.draw(st.booleans(), label="controls")
    variant = data.draw(st.sampled_from(variants()), label="variant")
    ids = torch.arange(rows) * 3 if data.draw(st.booleans(), label="per row") else None
    nets = networks(config, data.draw(st.integers(1, 3), label="members"))
    batch = Batch(inputs(rows, config.inputs), data.draw(st.integers(0, 1 << 62)), ids)
    found = kernel_of(nets, linear, controls=controls, variant=variant)
    exact = Reduction(nets._members[0]).exact
    sizes = [magnitude(net, batch.x) for net in nets]
    for reduced in (False,) if exact else (False, True):
        expected = by_torch(nets, linear, batch, passes, reduced=reduced, controls=controls)
        answer = by_kernel(found, batch, passes, reduced=reduced)
        for one, other, size in zip(answer, expected, sizes, strict=True):
            check_same(one, other, size)


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("seed", [517, 518])
def test_a_law_of_two_points_has_one_error(seed: int, variant: str) -> None:
    """Half of the passes drop the only input: all squared errors are equal, but for rounding."""
    nets = networks(MLPConfig(1, (39,), 1, (0.5, 0.0), "relu"))
    batch = Batch(inputs(1, 1), seed)
    found = kernel_of(nets, 1, controls=False, variant=variant)
    (answer,) = by_kernel(found, batch, 110, reduced=True)
    (expected,) = by_torch(nets, 1, batch, 110, reduced=True, controls=False)
    check_same(answer, expected, magnitude(nets._members[0], batch.x))


@pytest.mark.parametrize("reduced", [False, True])
def test_the_kernel_gives_the_outputs_without_dropout(reduced: bool) -> None:
    config = MLPConfig(7, (30, 20), 2, (0.0, 0.1, 0.1), "silu")
    nets, x = networks(config, 2), inputs(40, 7)
    found = kernel_of(nets, 1)
    assert found is not None
    outputs = found.estimates(x.numpy(), 0, passes=10, reduced=reduced).deterministic
    assert np.allclose(outputs, torch.stack([net(x) for net in nets]).numpy(), atol=1e-6)


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_call_in_pieces_gives_the_numbers_of_one_call(
    reduced: bool, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, ids = MLPConfig(5, (20, 20), 1, (0.0, 0.2, 0.2)), torch.arange(100) if fresh else None
    nets, batch, calls = networks(config), Batch(inputs(100, 5), 3, ids), list[int]()
    found = kernel_of(nets, 1)
    (whole,) = by_kernel(found, batch, 50, reduced=reduced)
    monkeypatch.setattr(fused, "AT_ONCE", 1)
    assert found is not None
    parts = found.estimates(
        batch.x.numpy(),
        3,
        passes=50,
        reduced=reduced,
        row_ids=None if ids is None else ids.numpy(),
        before_chunk=lambda: calls.append(1),
    )
    assert len(calls) > 1
    check_same(Estimate(*parts.numbers[0]), whole, magnitude(nets._members[0], batch.x))


@settings(deadline=None, max_examples=40)
@given(config=configs(), data=st.data())
def test_the_kernel_gives_the_probabilities_of_torch(
    config: MLPConfig, data: st.DataObject
) -> None:
    config = replace(config, outputs=data.draw(st.sampled_from([2, 3, 5, 17, 70]), label="classes"))
    rows = data.draw(st.sampled_from([1, 2, 7, 33]), label="rows")
    passes = data.draw(st.integers(6, 120) | st.just(2100), label="passes")
    temperature = data.draw(st.sampled_from([0.3, 1.0, 2.0]), label="temperature")
    variant = data.draw(st.sampled_from(variants()), label="variant")
    ids = torch.arange(rows) * 3 if data.draw(st.booleans(), label="per row") else None
    nets = networks(config, data.draw(st.integers(1, 3), label="members"))
    batch = Batch(inputs(rows, config.inputs), data.draw(st.integers(0, 1 << 62)), ids)
    task = Classification(
        Target(("y",), tuple(map(str, range(config.outputs))), (), (), (None,)),
        Tuning(temperature=temperature),
    )
    found = kernel_of(nets, config.outputs, temperature=temperature, variant=variant)
    assert found is not None
    known = None if ids is None else ids.numpy()
    fused = found.estimates(
        batch.x.numpy(), batch.seed, passes=passes, reduced=False, row_ids=known
    )
    estimate = pooled_numbers(fused.numbers, fused.agreement)
    samplers = [PlainSampler.of(net, batch, task.values, joint=True) for net in nets]
    EnsembleSampler(samplers).take(range(passes))
    expected = pooled_members([sampler.estimate(len(nets)) for sampler in samplers])
    logits = max(float(magnitude(net, batch.x).max()) for net in nets) / temperature
    check_same(estimate, expected, np.full_like(expected.mean, 1 + logits))
    check_agreement(estimate, expected, logits)
    assert estimate.agreement is not None
    assert expected.agreement is not None
    level = np.zeros(rows)
    for _, outputs in nets.outputs(batch.x, batch.seed, passes=range(passes), row_ids=ids):
        first, second = outputs.topk(2).values.unbind(-1)  # [P, B]
        level += ((first - second) / temperature <= 1e-5 * (1 + logits)).sum(0).numpy()
    moved = np.abs(estimate.agreement.votes - expected.agreement.votes).sum(-1)
    assert (moved <= 2 * level).all()
    off = torch.stack([task.values(net(batch.x)) for net in nets]).numpy()
    assert np.allclose(fused.deterministic, off, atol=1e-6 * (1 + logits))


def check_agreement(one: Estimate, other: Estimate, logits: float) -> None:
    """The same covariance to rounding, and as many votes."""
    assert one.agreement is not None
    assert other.agreement is not None
    assert (one.agreement.votes.sum(-1) == other.agreement.votes.sum(-1)).all()
    assert (one.agreement.covariance is None) == (other.agreement.covariance is None)
    if one.agreement.covariance is not None and other.agreement.covariance is not None:
        off = one.agreement.covariance - other.agreement.covariance
        assert np.abs(off).max() <= 2e-6 * (1 + logits)


def test_no_rows_have_no_estimates() -> None:
    found = kernel_of(networks(MLPConfig(5, (20,), 2, (0.0, 0.2))), 1)
    assert found is not None
    none = found.estimates(np.empty((0, 5)), 3, passes=100, reduced=False)
    assert (none.numbers.shape, none.deterministic.shape) == ((1, 4, 0, 2), (1, 0, 2))


def test_the_kernel_leaves_what_it_has_no_formulas_for_to_torch() -> None:
    config = MLPConfig(4, (8,), 1, (0.1, 0.1))
    assert fits(config)
    for other in (
        MLPConfig(4, (8,), 1, (0.1, 0.1), before=(Norm("layer"),)),
        MLPConfig(4, (8,), 1, (0.1, 0.1), input_noise=0.1),
        MLPConfig(4, (8,), 1, (0.0, 0.0)),
        MLPConfig(4, (fused.WIDEST + 1,), 1, (0.1, 0.1)),
    ):
        assert not fits(other)
        assert kernel_of(networks(other), 1) is None


def test_an_overflow_is_not_finite() -> None:
    config = MLPConfig(3, (16, 16), 1, (0.0, 0.2, 0.2))
    x = torch.full((40, 3), 3e38)
    found = kernel_of(networks(config), 1)
    for rows in (1, 40):
        for reduced in (False, True):
            (estimate,) = by_kernel(found, Batch(x[:rows], 0), 20, reduced=reduced)
            assert not np.isfinite(estimate.mean).any()
