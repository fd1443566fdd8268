"""The compiled kernel beside torch: the same masks, so the same numbers to float32 rounding."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.passes import fused
from model.passes.ensemble import Ensemble, EnsembleSampler
from model.passes.estimate import Estimate
from model.passes.fused import Kernel, fits, kernel_of, variants
from model.passes.network import ACTIVATIONS, MLP, MLPConfig, Norm
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, ReducedSampler, Sampler
from model.training.fit import initialised

pytestmark = pytest.mark.skipif(
    not variants() and not os.environ.get("CI"), reason="the kernel is not compiled"
)
NAMES = ("mean", "variance", "mean_error", "variance_error")


def member(config: MLPConfig, seed: int) -> MLP:
    """A random network with outputs of about 1."""
    net = initialised(config, torch.Generator().manual_seed(seed)).requires_grad_(False)
    net.linears()[-1].weight.mul_(5)
    return net


def networks(config: MLPConfig, members: int = 1) -> Ensemble:
    return Ensemble([member(config, seed) for seed in range(members)])


def inputs(rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


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


def by_kernel(
    found: Kernel | None, batch: Batch, passes: int, *, reduced: bool
) -> Sequence[Estimate]:
    assert found is not None
    ids = None if batch.row_ids is None else batch.row_ids.numpy()
    x = batch.x.numpy()
    return found.estimates(x, batch.seed, passes=passes, reduced=reduced, row_ids=ids)[0]


def magnitude(net: MLP, x: Tensor) -> np.ndarray:
    """The outputs [B, O] if no terms cancelled: rounding is relative to it."""
    h = x.abs()
    for linear in net.linears():
        h = h @ linear.weight.abs().T + linear.bias.abs()
    return np.asarray(h.double().numpy())


def check_same(one: Estimate, other: Estimate, size: np.ndarray) -> None:
    """To 1e-5 of `size` [B, O], and of squares accordingly."""
    std = np.sqrt(other.variance) + other.mean_error
    size = size + std
    square = size * std + other.variance_error + 1e-5 * size**2
    for name, scale in zip(NAMES, (size, square, size, square), strict=True):
        off = np.abs(getattr(one, name) - getattr(other, name))
        assert (off <= 1e-5 * scale).all(), name


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


@pytest.mark.parametrize("reduced", [False, True])
def test_the_kernel_gives_the_outputs_without_dropout(reduced: bool) -> None:
    config = MLPConfig(7, (30, 20), 2, (0.0, 0.1, 0.1), "silu")
    nets, x = networks(config, 2), inputs(40, 7)
    found = kernel_of(nets, 1)
    assert found is not None
    _, outputs = found.estimates(x.numpy(), 0, passes=10, reduced=reduced)
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
    (parts,), _ = found.estimates(
        batch.x.numpy(),
        3,
        passes=50,
        reduced=reduced,
        row_ids=None if ids is None else ids.numpy(),
        before_chunk=lambda: calls.append(1),
    )
    assert len(calls) > 1
    check_same(parts, whole, magnitude(nets._members[0], batch.x))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, about threads
@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("reduced", [False, True])
def test_a_long_call_asks_in_its_middle_whether_to_go_on(
    rows: int, fresh: bool, reduced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that, a request of many passes would outlive its deadline and its client."""
    nets, ids = networks(MLPConfig(5, (20, 20), 1, (0.0, 0.2, 0.2)), 2), torch.arange(rows)
    batch, calls = Batch(inputs(rows, 5), 3, ids if fresh else None), list[int]()
    found = kernel_of(nets, 1)
    assert found is not None
    whole = by_kernel(found, batch, 400, reduced=reduced)
    monkeypatch.setattr(fused, "AT_ONCE", 100_000)

    def estimates(before_chunk: Callable[[], None]) -> Sequence[Estimate]:
        return found.estimates(
            batch.x.numpy(),
            3,
            passes=400,
            reduced=reduced,
            row_ids=ids.numpy() if fresh else None,
            before_chunk=before_chunk,
        )[0]

    asked = estimates(lambda: calls.append(1))
    for one, other, net in zip(asked, whole, nets, strict=True):
        check_same(one, other, magnitude(net, batch.x))
    count = len(calls)
    assert count > 2

    def give_up() -> None:
        calls.append(1)
        if len(calls) == count + 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        estimates(give_up)
    assert len(calls) == count + 3


def test_rows_with_masks_of_their_own_ask_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row alone is long, but all of a call are."""
    calls, config = list[int](), MLPConfig(5, (20, 20), 1, (0.0, 0.2, 0.2))
    found = kernel_of(networks(config), 1)
    assert found is not None
    monkeypatch.setattr(fused, "AT_ONCE", 520 * 1000)  # multiplications of 1,000 passes of a row
    found.estimates(
        inputs(32, 5).numpy(),
        3,
        passes=400,
        reduced=False,
        row_ids=np.arange(32),
        before_chunk=lambda: calls.append(1),
    )
    assert len(calls) == 1 + 32 * 400 // 1000


@pytest.mark.parametrize("older", [object(), SimpleNamespace(mcd_interface=lambda: 1)])
def test_a_kernel_of_older_sources_is_not_used(older: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functions would take the arguments for others, and answer nonsense, or crash."""
    monkeypatch.setattr("ctypes.CDLL", lambda _: older)
    assert fused._library.__wrapped__() is None


@pytest.mark.parametrize("name", ["MCD_KERNEL", "mcd_kernel"])
def test_the_setting_switches_it_off_in_either_case_as_it_does_others(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCD_KERNEL", raising=False)
    monkeypatch.setenv(name, "off")
    assert fused._library.__wrapped__() is None


WITHOUT_MEMORY = """if True:
    import resource
    from pathlib import Path
    import numpy as np
    from model.passes.fused import kernel_of
    from model.passes.network import MLPConfig
    from tests.model.passes.test_fused import inputs, networks

    found = kernel_of(networks(MLPConfig(5, (20, 20), 200, (0.0, 0.2, 0.2))), 200)
    x = inputs(40, 5).numpy()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20), -1))
    for rows, passes in ((40, 1500), (1, 1500), (1, 10)):
        try:
            found.estimates(x[:rows], 3, passes=passes, reduced=True)
            print("done")
        except MemoryError as error:
            print(error)
    """


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no memory to look at")
def test_a_call_without_memory_raises_and_does_not_end_the_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=False
    )
    lines = ran.stdout.splitlines()
    assert (ran.returncode, lines[0], lines[-1]) == (0, "no memory for the passes", "done")


def test_no_rows_have_no_estimates() -> None:
    found = kernel_of(networks(MLPConfig(5, (20,), 2, (0.0, 0.2))), 1)
    assert found is not None
    (estimate,), outputs = found.estimates(np.empty((0, 5)), 3, passes=100, reduced=False)
    assert (estimate.mean.shape, outputs.shape) == ((0, 2), (1, 0, 2))


def test_a_forked_process_has_helpers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of the parent's pool are not in the child, which would wait for them forever."""
    monkeypatch.setattr(fused, "AT_ONCE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    x = inputs(100, 5).numpy()
    (whole,), _ = found.estimates(x, 3, passes=20, reduced=False)

    def answer() -> None:
        (again,), _ = found.estimates(x, 3, passes=20, reduced=False)
        assert (again.mean == whole.mean).all()

    child = multiprocessing.get_context("fork").Process(target=answer)
    child.start()
    child.join(20)
    child.kill()  # if it waits for threads that it has not
    child.join()
    assert child.exitcode == 0


def test_an_interrupted_call_ends_with_its_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They write into arrays of the call, which are freed after it."""
    monkeypatch.setattr(fused, "AT_ONCE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    ended, library = threading.Event(), found._library

    class Interrupted:
        """The first piece is interrupted while the second still runs."""

        def mcd_run(self, *arguments: Any) -> int:
            if arguments[-2] == 0:
                raise KeyboardInterrupt
            time.sleep(0.2)
            end: int = library.mcd_run(*arguments)
            ended.set()
            return end

    found._library = cast(Any, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        found.estimates(inputs(64, 5).numpy(), 3, passes=20, reduced=False)
    assert ended.is_set()


def test_the_end_of_python_frees_no_weights_that_a_daemon_thread_may_still_read() -> None:
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    assert not found._freed.atexit


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
