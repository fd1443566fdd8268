"""A call of the kernel in its process: asked, interrupted, forked, without memory, switched off."""

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

from model.passes import fused
from model.passes.estimate import Estimate
from model.passes.fused import kernel_of, variants
from model.passes.network import MLPConfig
from model.passes.samplers import Batch
from tests.model.passes.kernels import (
    by_kernel,
    check_same,
    inputs,
    magnitude,
    networks,
    of_members,
)

pytestmark = pytest.mark.skipif(
    not variants() and not os.environ.get("CI"), reason="the kernel is not compiled"
)


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
        known = ids.numpy() if fresh else None
        return of_members(
            found.estimates(
                batch.x.numpy(),
                3,
                passes=400,
                reduced=reduced,
                row_ids=known,
                before_chunk=before_chunk,
            )
        )

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
    from tests.model.passes.kernels import inputs, networks

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


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, about threads
def test_a_forked_process_has_helpers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of the parent's pool are not in the child, which would wait for them forever."""
    monkeypatch.setattr(fused, "AT_ONCE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    x = inputs(100, 5).numpy()
    whole = found.estimates(x, 3, passes=20, reduced=False)

    def answer() -> None:
        again = found.estimates(x, 3, passes=20, reduced=False)
        assert (again.numbers == whole.numbers).all()

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
    ended, both, library = threading.Event(), threading.Barrier(2, timeout=20), found._library

    class Interrupted:
        """The first piece is interrupted while the second still runs."""

        def mcd_run(self, *arguments: Any) -> int:
            both.wait()
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


def test_after_an_error_no_thread_takes_another_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "AT_ONCE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    asked = list[int]()

    def before_chunk() -> None:
        asked.append(1)
        raise IndexError("nobody waits any more")

    x = inputs(32 * 50, 5).numpy()
    with pytest.raises(IndexError, match="nobody waits"):
        found.estimates(x, 3, passes=20, reduced=False, before_chunk=before_chunk)
    assert len(asked) <= 2  # one of each thread


def test_the_end_of_python_frees_no_weights_that_a_daemon_thread_may_still_read() -> None:
    found = kernel_of(networks(MLPConfig(5, (20,), 1, (0.0, 0.2))), 1)
    assert found is not None
    assert not found._freed.atexit
