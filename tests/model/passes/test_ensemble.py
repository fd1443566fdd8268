"""Passes spread over the members of an ensemble: the pooled estimate and its errors.

Shapes: M members, P passes, B rows, V values.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from model.options import Estimator, MaskScope
from model.passes import (
    MLP,
    Batch,
    Ensemble,
    EnsembleSampler,
    Estimate,
    MLPConfig,
    PlainSampler,
    Recorder,
    ReducedSampler,
    Reduction,
    Sampler,
    draw_noise,
    pooled_members,
    sample,
    sample_until,
)
from model.passes.ensemble import shares
from model.training.fit import initialised

CONFIG = MLPConfig(inputs=4, hidden=(24, 16), outputs=2, dropout=(0.0, 0.2, 0.1))


def ensemble(members: int, config: MLPConfig = CONFIG) -> Ensemble:
    found = []
    for member in range(members):
        network = initialised(config, torch.Generator().manual_seed(member))
        network.linears()[-1].weight.data *= 10  # so that members and passes differ visibly
        found.append(network.requires_grad_(False))
    return Ensemble(found)


def rows(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def sampler(networks: Ensemble, batch: Batch, estimator: Estimator) -> Sampler:
    if estimator == "reduced":
        return EnsembleSampler([ReducedSampler.of(n, batch, Reduction(n)) for n in networks])
    return EnsembleSampler([PlainSampler.of(n, batch, lambda y: y) for n in networks])


def estimate(networks: Ensemble, batch: Batch, estimator: Estimator, passes: int) -> Estimate:
    with torch.inference_mode():
        return sample(sampler(networks, batch, estimator), passes)


def pass_of(network: MLP, x: torch.Tensor, seed: int, number: int) -> np.ndarray:
    noise = draw_noise(network.config, seed, range(number, number + 1))
    return network(x, noise)[0].double().numpy()


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9))
def test_every_pass_goes_to_one_member_and_members_take_equal_shares(
    start: int, count: int, members: int
) -> None:
    passes = range(start, start + count)
    found = shares(passes, members)
    assert sorted(k for own in found for k in own) == list(passes)
    assert all(k % members == m for m, own in enumerate(found) for k in own)
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("passes", [6, 20, 101])
def test_the_plain_estimate_is_the_law_of_total_variance_over_single_passes(passes: int) -> None:
    """Pass k runs the member k mod 3 under the masks of pass k, one at a time."""
    networks, x = ensemble(3), rows(5)
    by_member: list[list[np.ndarray]] = [[] for _ in range(3)]
    for k in range(passes):
        by_member[k % 3].append(pass_of(networks.members[k % 3], x, 9, k))  # type: ignore[arg-type]
    means = np.array([np.mean(each, 0) for each in by_member])  # [M, B, V]
    within = np.array([np.var(each, 0, ddof=1) for each in by_member])
    noise = within / np.array([len(each) for each in by_member])[:, None, None]
    between = means.var(0) - (1 - 1 / 3) * noise.mean(0)
    found = estimate(networks, Batch(x, 9), "plain", passes)
    assert_allclose(found.mean, means.mean(0), rtol=1e-5, atol=1e-6)
    assert_allclose(found.variance, within.mean(0) + between, rtol=1e-4)
    assert_allclose(found.mean_error, np.sqrt(noise.sum(0)) / 3, rtol=1e-4)
    assert found.between
    assert_allclose(found.between.variance, np.maximum(between, 0), rtol=1e-3, atol=1e-6)
    assert_allclose(found.between.within, within.mean(0), rtol=1e-4)


def truth(networks: Ensemble, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and variance between members of 40,000 passes of each member."""
    parts = [estimate(Ensemble([n]), Batch(x, 1 << 30), "plain", 40_000) for n in networks]
    means = np.array([part.mean for part in parts])
    within = np.mean([part.variance for part in parts], 0)
    return means.mean(0), within + means.var(0), means.var(0)


@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize(("members", "passes"), [(2, 8), (5, 100)])
def test_both_estimators_are_right_on_average_and_say_by_how_much_they_are_off(
    estimator: Estimator, members: int, passes: int
) -> None:
    """Over 300 seeds: no bias beyond 5 % of a std, and two errors hold 85 % of the truths."""
    networks, x = ensemble(members), rows(4)
    wanted = truth(networks, x)
    found = [estimate(networks, Batch(x, seed), estimator, passes) for seed in range(300)]
    between = [each.between for each in found if each.between]
    assert len(between) == 300
    for true, values, errors in (
        (wanted[0], [e.mean for e in found], [e.mean_error for e in found]),
        (wanted[1], [e.variance for e in found], [e.variance_error for e in found]),
        (wanted[2], [b.variance for b in between], [b.error for b in between]),
    ):
        off = np.array(values) - true
        held = (np.abs(off) <= 2 * np.array(errors)).mean(0)
        assert held.min() > (0.85 if passes == 100 else 0.7)
    off = np.array([e.mean for e in found]) - wanted[0]
    assert (np.abs(off.mean(0)) < 0.05 * np.sqrt(wanted[1])).all()
    off = np.array([e.variance for e in found]) - wanted[1]
    assert (np.abs(off.mean(0)) < 0.05 * wanted[1] + 3 * off.std(0) / np.sqrt(300)).all()


def test_the_errors_are_smaller_than_those_of_passes_that_choose_their_member_at_random() -> None:
    """The passes are spread evenly, so the variance between members is no Monte-Carlo error."""
    networks, x = ensemble(5), rows(4)
    found = [estimate(networks, Batch(x, seed), "plain", 100) for seed in range(200)]
    spread = np.std([each.mean for each in found], 0)
    at_random = np.sqrt(found[0].variance / 100)
    assert (spread < 0.8 * at_random).any()
    assert_allclose(np.mean([each.mean_error for each in found], 0), spread, rtol=0.25)


def test_equal_members_have_no_variance_between_them() -> None:
    """And the estimate is that of the single network, from as many passes."""
    one, x = ensemble(1), rows(3)
    same, single = Ensemble([*one, *one, *one]), list[np.ndarray]()
    pooled, between = list[np.ndarray](), list[np.ndarray]()
    for seed in range(200):
        found = estimate(same, Batch(x, seed), "plain", 30)
        assert found.between
        pooled.append(found.variance)
        between.append(found.between.variance)
        single.append(estimate(one, Batch(x, seed), "plain", 30).variance)
    assert_allclose(np.mean(pooled, 0), np.mean(single, 0), rtol=0.08)
    assert (np.mean(between, 0) < 0.05 * np.mean(single, 0)).all()


def test_members_without_noise_differ_by_their_outputs_exactly() -> None:
    networks, x = ensemble(4, replace(CONFIG, dropout=(0.0, 0.0, 0.0))), rows(3)
    outputs = np.array([network(x).double().numpy() for network in networks])
    found = pooled_members([Reduction(network).integrated(x) for network in networks])
    assert_allclose(found.mean, outputs.mean(0), rtol=1e-5)
    assert_allclose(found.variance, outputs.var(0), rtol=1e-4)
    assert found.between
    for error in (found.mean_error, found.variance_error, found.between.error):
        assert (error == 0).all()


@pytest.mark.parametrize("masks", get_args(MaskScope))
def test_samples_are_in_the_order_of_their_passes(masks: MaskScope) -> None:
    """Also of rows that stop at different passes."""
    networks, x = ensemble(3), rows(6)
    ids = torch.arange(6) if masks == "per_row" else None
    recorder = Recorder(torch.arange(6))
    batch = Batch(x, 4, ids, recorder=recorder)

    def excess(found: Estimate, _: int | np.ndarray) -> np.ndarray:
        return found.relative_error[:, 0] / 0.085

    with torch.inference_mode():
        _, counts = sample_until(excess, sampler(networks, batch, "plain"), 6, passes=150)
    assert len(set(counts.tolist())) > 1
    for row, samples in enumerate(recorder.recorded(6)):
        assert len(samples) == counts[row]
        for k, values in enumerate(samples):
            own = None if ids is None else ids[[row]]
            noise = draw_noise(CONFIG, 4, range(k, k + 1), own)
            expected = list(networks)[k % 3](x[[row]], noise)[0, 0].numpy()
            assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_the_tensors_of_one_network_have_no_number_of_a_member() -> None:
    alone, several = ensemble(1), ensemble(2)
    assert set(alone.tensors()) == set(alone.members[0].state_dict())
    assert {name.split(".")[1] for name in several.tensors()} == {"0", "1"}
    again = ensemble(2)
    again.load({name: tensor + 1 for name, tensor in several.tensors().items()})
    for one, other in zip(several.parameters(), again.parameters(), strict=True):
        assert torch.equal(one + 1, other)


@given(st.lists(st.floats(0, 5), min_size=2, max_size=6), st.integers(2, 40))
def test_the_variance_is_never_negative_and_its_part_never_larger(
    means: Sequence[float], passes: int
) -> None:
    def member(mean: float) -> Any:
        one = np.ones((1, 1))
        return Estimate(mean * one, one, np.sqrt(one / passes), 0.1 * one)

    found = pooled_members([member(mean) for mean in means])
    assert found.between
    assert found.variance >= 0
    assert 0 <= found.between.variance <= found.variance + 1e-12
