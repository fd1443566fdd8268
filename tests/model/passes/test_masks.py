"""What is drawn depends on (seed, site, pass[, row]) alone; how it is computed changes nothing."""

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.passes.chunks import chunk_passes, run
from model.passes.masks import draw_noise
from model.passes.network import MLP, RATE_LEVELS, MLPConfig, Noise
from model.training.fit import initialised

SEEDS = (0, 1, (1 << 63) - 1)

rates = st.sampled_from([0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-12]) | st.floats(0, 0.99)
seeds = st.sampled_from(SEEDS) | st.integers(0, (1 << 63) - 1)
row_numbers = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=6)


@st.composite
def configs(draw: st.DrawFn) -> MLPConfig:
    hidden = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    return MLPConfig(
        inputs=draw(st.integers(1, 9)),
        hidden=tuple(hidden),
        outputs=draw(st.integers(1, 3)),
        dropout=tuple(draw(rates) for _ in range(len(hidden) + 1)),
        input_noise=draw(st.sampled_from([0.0, 0.5])),
    )


def network(hidden: tuple[int, ...] = (64, 32), rate: float = 0.3, noise: float = 0.2) -> MLP:
    dropout = (rate,) * (len(hidden) + 1)
    config = MLPConfig(inputs=5, hidden=hidden, outputs=2, dropout=dropout, input_noise=noise)
    return initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)


def inputs(rows: int) -> Tensor:
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(1))


def all_passes(chunks: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(chunks))


def equal(one: Noise, other: Noise) -> bool:
    """Whether two draws are the same bit by bit."""
    pairs = zip((one.inputs, *one.masks), (other.inputs, *other.masks), strict=True)
    return all(a is b is None or (a is not None and torch.equal(a, b)) for a, b in pairs)


def part(noise: Noise, passes: slice, rows: list[int] | slice = slice(None)) -> Noise:
    """Some of the passes and rows of a draw."""
    masks = tuple(None if m is None else m[passes][:, rows] for m in noise.masks)
    return Noise(masks, None if noise.inputs is None else noise.inputs[passes][:, rows])


def dropped(seed: int, passes: int, width: int, *, rate: float = 0.5, site: int = 0) -> Tensor:
    """Which units the shared masks of a site drop, float64 [P, H]."""
    wide = {0: (width, 1), 1: (1, width)}[site]
    config = MLPConfig(inputs=wide[0], hidden=(wide[1],), outputs=1, dropout=(rate, rate))
    mask = draw_noise(config, seed, range(passes)).masks[site]
    assert mask is not None
    return (mask[:, 0] == 0).double()


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, in units of its standard error for independent draws."""
    pair = torch.stack([one.flatten(), other.flatten()])
    return torch.corrcoef(pair)[0, 1].item() * math.sqrt(one.numel())


@settings(deadline=None, max_examples=150)
@given(config=configs(), seed=seeds, start=st.integers(0, 30), size=st.integers(1, 9))
def test_any_run_of_passes_is_a_part_of_the_whole_draw(
    config: MLPConfig, seed: int, start: int, size: int
) -> None:
    whole = draw_noise(config, seed, range(40))
    some = draw_noise(config, seed, range(start, start + size))
    assert equal(some, part(whole, slice(start, start + size)))


@settings(deadline=None, max_examples=150)
@given(config=configs(), seed=seeds, rows=row_numbers, data=st.data())
def test_a_row_keeps_its_noise_in_any_company_and_order(
    config: MLPConfig, seed: int, rows: list[int], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    chosen = order[: data.draw(st.integers(1, len(rows)))]
    whole = draw_noise(config, seed, range(5), torch.tensor(rows))
    some = draw_noise(config, seed, range(5), torch.tensor([rows[at] for at in chosen]))
    assert equal(some, part(whole, slice(None), chosen))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rows", [None, torch.arange(600)])
def test_the_passes_are_those_of_the_plain_loop(seed: int, rows: Tensor | None) -> None:
    net, x = network(), inputs(600)
    outputs = all_passes(run(net, x, seed, passes=range(40), row_ids=rows))
    loop = [net(x, draw_noise(net.config, seed, range(t, t + 1), rows))[0] for t in range(40)]
    assert chunk_passes(net.config, 600) < 40  # else one chunk would be all
    torch.testing.assert_close(outputs, torch.stack(loop), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 1 << 12, 1 << 16, 1 << 30])
@pytest.mark.parametrize("rows", [None, torch.arange(30)])
def test_the_size_of_a_chunk_changes_no_answer(
    size: int, rows: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x = network(), inputs(30)
    expected = all_passes(run(net, x, 4, passes=range(25), row_ids=rows))
    monkeypatch.setattr("model.passes.chunks.CHUNK_BYTES", size)
    outputs = all_passes(run(net, x, 4, passes=range(25), row_ids=rows))
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)


def test_masks_of_a_row_do_not_depend_on_the_other_rows() -> None:
    net, x = network(), inputs(20)
    together = all_passes(run(net, x, 9, passes=range(30), row_ids=torch.arange(20)))
    for row in (0, 7, 19):
        rows = torch.tensor([row])
        alone = all_passes(run(net, x[rows], 9, passes=range(30), row_ids=rows))
        torch.testing.assert_close(alone, together[:, rows], rtol=1e-5, atol=1e-6)


def test_shared_masks_make_one_network_per_pass_and_fresh_ones_one_per_row() -> None:
    net, x = network(), inputs(1).repeat(4, 1)
    shared = all_passes(run(net, x, 2, passes=range(50)))
    per_row = all_passes(run(net, x, 2, passes=range(50), row_ids=torch.arange(4)))
    torch.testing.assert_close(shared, shared[:, :1].expand_as(shared))
    assert (per_row[:, 1:] != per_row[:, :1]).any(-1).float().mean() > 0.99


def test_more_passes_begin_with_the_fewer() -> None:
    net, x = network(), inputs(3)
    hundred = all_passes(run(net, x, 5, passes=range(100)))
    fifty = all_passes(run(net, x, 5, passes=range(50)))
    torch.testing.assert_close(hundred[:50], fifty, rtol=1e-5, atol=1e-6)


def test_where_nothing_is_drawn_every_pass_is_the_deterministic_one() -> None:
    net, x = network(rate=0.0, noise=0.0), inputs(3)
    outputs = all_passes(run(net, x, 0, passes=range(7)))
    torch.testing.assert_close(outputs, net(x).expand(7, 3, 2))


@pytest.mark.parametrize("rows", [None, torch.arange(4)])
def test_the_number_of_threads_changes_no_answer(
    rows: Tensor | None,
    torch_threads: None,  # noqa: ARG001  puts the number back
) -> None:
    net, x = network((300, 300)), inputs(4)
    outputs = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        outputs[threads] = all_passes(run(net, x, 6, passes=range(200), row_ids=rows))
    torch.testing.assert_close(outputs[1], outputs[2], rtol=1e-6, atol=1e-6)


def test_eight_threads_at_once_draw_what_each_draws_alone() -> None:
    net, x = network(), inputs(50)

    def passes(seed: int) -> Tensor:
        return all_passes(run(net, x, seed, passes=range(60)))

    alone = [passes(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert all(map(torch.equal, pool.map(passes, range(8)), alone))


def test_the_global_random_states_are_neither_read_nor_set() -> None:
    config = network().config
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    one = draw_noise(config, 3, range(20), torch.arange(5))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(2)
    assert equal(one, draw_noise(config, 3, range(20), torch.arange(5)))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_masks_are_0_or_1_over_1_minus_p_of_the_exact_rate(rate: float) -> None:
    config = MLPConfig(inputs=64, hidden=(1,), outputs=1, dropout=(rate, rate))
    mask = draw_noise(config, 0, range(100)).masks[0]
    assert mask is not None
    exact = round(rate * RATE_LEVELS) / RATE_LEVELS
    assert mask.dtype == torch.float32
    assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - exact)], rel=1e-7)


@pytest.mark.parametrize(("rate", "rare"), [(1e-12, 1.0), (1 - 1e-12, 0.0)])
def test_the_rarest_event_has_probability_2_to_the_minus_16(rate: float, rare: float) -> None:
    events = sum(int((dropped(s, 4096, 1024, rate=rate) == rare).sum()) for s in range(4))
    expected = 4 * 4096 * 1024 / RATE_LEVELS  # 256
    assert abs(events - expected) < 3.9 * math.sqrt(expected)


@pytest.mark.parametrize("seed", [*SEEDS, 12345])
def test_the_numbers_behind_the_masks_are_uniform(seed: int) -> None:
    """Masks of rising rates compare the same numbers: their steps are a histogram."""
    edges = [at / 16 for at in range(1, 16)]
    below = [dropped(seed, 2000, 256, rate=rate).sum().item() for rate in edges]
    total = 2000 * 256
    counts = np.diff([0, *below, total])
    chi_square = float(((counts - total / 16) ** 2 / (total / 16)).sum())
    assert 3.0 < chi_square < 44.3  # 99.99 % on 15 degrees of freedom; from below, 99.95 %


def test_every_unit_of_a_mask_is_dropped_as_often() -> None:
    counts = dropped(7, 20_000, 256, rate=0.3).sum(0)
    z = (counts - 6000) / math.sqrt(20_000 * 0.3 * 0.7)
    assert z.abs().max() < 4.6  # 256 normal numbers: 99.9 %
    assert abs(z.square().sum().item() - 256) < 3.9 * math.sqrt(2 * 256)


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbouring_seeds_sites_passes_and_units_are_independent(seed: int) -> None:
    one = dropped(seed, 4000, 64)
    other_seed = dropped(seed ^ 1, 4000, 64)
    other_site = dropped(seed, 4000, 64, site=1)
    assert not torch.equal(one, other_seed)
    for other in (other_seed, other_site):
        assert abs(correlation(one, other)) < 3.9
    assert abs(correlation(one[1:], one[:-1])) < 3.9
    assert abs(correlation(one[:, 1:], one[:, :-1])) < 3.9
    assert abs(correlation(one[1:, 1:], one[:-1, :-1])) < 3.9


def test_the_same_unit_of_consecutive_seeds_is_independent() -> None:
    by_seed = torch.stack([dropped(seed, 4, 64).flatten() for seed in range(2000)])  # [S, 256]
    counts = by_seed.sum(0)
    assert abs((counts - 1000) / math.sqrt(500)).max() < 4.6
    assert abs(correlation(by_seed[1:], by_seed[:-1])) < 3.9


def test_rows_are_independent_of_each_other() -> None:
    config = MLPConfig(inputs=64, hidden=(1,), outputs=1, dropout=(0.5, 0.5))
    mask = draw_noise(config, 3, range(500), torch.arange(40)).masks[0]
    assert mask is not None
    rows = (mask == 0).double().transpose(0, 1)  # [B, P, H]
    assert abs(correlation(rows[1:], rows[:-1])) < 3.9
    assert abs(correlation(rows[1:, 1:], rows[:-1, :-1])) < 3.9
    shared = dropped(3, 500, 64)
    assert abs(correlation(rows[0], shared)) < 3.9


def test_input_noise_is_normal_and_independent() -> None:
    config = MLPConfig(inputs=64, hidden=(1,), outputs=1, dropout=(0.0, 0.0), input_noise=0.25)
    noise = draw_noise(config, 11, range(2000)).inputs
    assert noise is not None
    z = noise[:, 0].double() / 0.25  # [P, D]
    sorted_z = z.flatten().sort().values.numpy()
    share = (np.arange(len(sorted_z)) + 0.5) / len(sorted_z)
    expected = np.array([NormalDist().cdf(value) for value in sorted_z[::50]])
    assert np.abs(expected - share[::50]).max() * math.sqrt(len(sorted_z)) < 2.2  # Kolmogorov
    assert z.abs().max() < 6
    for one, other in ((z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[:, 32:], z[:, :32])):
        assert abs(correlation(one, other)) < 3.9
        assert abs(correlation(one.square(), other.square())) < 3.9
