import asyncio
import contextlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest

from app.compute.batching import BATCH_TASK, MicroBatcher, Waiting
from app.errors import DeadlineExceeded, NotReady, Overloaded

pytestmark = pytest.mark.anyio


class Record:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.sizes: list[int] = []
        self.lengths: list[int] = []

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def batched(self, size: int) -> None:
        self.sizes.append(size)

    def queued(self, size: int) -> None:
        self.lengths.append(size)


class Bench:
    """A batcher of texts, each as large as it is long; a batch runs until its gate opens."""

    def __init__(self, batch: int = 10, queue: int = 100) -> None:
        self.batches: list[tuple[Hashable, list[str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.wanted: Callable[[], bool] = lambda: True
        self.record = Record()
        self.largest = batch
        self.waiting = Waiting(queue, self.record)
        self.batcher = MicroBatcher[str, str](
            self.compute, self.waiting, size=len, largest=lambda _: self.largest
        )

    async def compute(
        self, key: Hashable, items: Sequence[str], wanted: Callable[[], bool]
    ) -> list[str]:
        self.batches.append((key, list(items)))
        self.wanted = wanted
        await self.gate.wait()
        if any("bad" in item for item in items):
            raise ValueError("bad item")
        return [item.upper() for item in items]

    def submit(self, key: str, *items: str, **options: Any) -> asyncio.Task[list[str]]:
        return asyncio.create_task(self.batcher.submit(key, items, **options))

    async def blocked(self) -> asyncio.Task[list[str]]:
        """A caller whose batch runs until the gate is opened; whatever comes now must wait."""
        self.gate.clear()
        first = self.submit("first", "x")
        await settle()
        self.batches.clear()
        return first


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_of_one_turn_with_equal_keys_share_a_batch() -> None:
    bench = Bench()
    answers = await asyncio.gather(
        bench.submit("k", "a"), bench.submit("other", "b"), bench.submit("k", "c")
    )
    assert answers == [["A"], ["B"], ["C"]]
    assert bench.batches == [("k", ["a", "c"]), ("other", ["b"])]


async def test_callers_of_turns_that_follow_each_other_share_a_batch() -> None:
    bench = Bench()
    tasks = []
    for item in "abc":
        tasks.append(bench.submit("k", item))
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [["A"], ["B"], ["C"]]
    assert bench.batches == [("k", ["a", "b", "c"])]


async def test_callers_who_never_stop_coming_do_not_put_a_batch_off_for_long() -> None:
    bench = Bench(batch=10_000, queue=1_000_000)
    tasks = []
    async with asyncio.timeout(5):
        while not bench.batches:
            tasks.append(bench.submit("k", "a"))
            await asyncio.sleep(0)
    assert len(await asyncio.gather(*tasks)) == len(tasks)


async def test_an_idle_batcher_computes_at_once() -> None:
    bench = Bench()
    task = bench.submit("k", "a")
    await settle()
    assert task.done()
    assert max(bench.record.waits) < 0.05


async def test_what_comes_during_a_batch_makes_up_the_next_one() -> None:
    bench = Bench()
    first = await bench.blocked()
    tasks = [bench.submit("k", item) for item in "abc"]
    await settle()
    assert bench.batches == []
    bench.gate.set()
    assert await asyncio.gather(first, *tasks) == [["X"], ["A"], ["B"], ["C"]]
    assert bench.batches == [("k", ["a", "b", "c"])]


async def test_a_batch_is_no_larger_than_the_cap() -> None:
    bench = Bench(batch=10)
    await bench.blocked()
    tasks = [bench.submit("k", item * 4) for item in "abcde"]
    await settle()
    bench.gate.set()
    await asyncio.gather(*tasks)
    assert bench.record.sizes == [1, 8, 8, 4]


async def test_an_item_larger_than_the_cap_goes_alone() -> None:
    bench = Bench(batch=3)
    assert await bench.submit("k", "large") == ["LARGE"]


async def test_a_small_caller_waits_for_a_turn_of_a_large_one_and_not_for_all() -> None:
    bench = Bench(batch=4)
    await bench.blocked()
    large = bench.submit("large", *(["aaaa"] * 20))
    await settle()
    small, same = bench.submit("small", "b"), bench.submit("large", "c")
    await settle()
    bench.gate.set()
    assert await small == ["B"]
    assert bench.batches[:2] == [("large", ["aaaa"]), ("small", ["b"])]
    assert await same == ["C"]
    assert bench.batches[2] == ("large", ["c"])
    assert not large.done()
    assert await large == ["AAAA"] * 20


async def test_the_results_of_items_come_in_their_order_whatever_their_batches() -> None:
    bench = Bench(batch=2)
    both = await asyncio.gather(bench.submit("k", *"abcde"), bench.submit("k", *"vwxyz"))
    assert both == [list("ABCDE"), list("VWXYZ")]


async def test_a_full_queue_refuses_with_the_time_after_which_to_come_back() -> None:
    bench = Bench(queue=10)
    await bench.blocked()
    waiting = [bench.submit("k", "a" * 5), bench.submit("k", "b" * 5)]
    await settle()
    assert bench.waiting.size == 10
    with pytest.raises(Overloaded, match="10 rows wait") as caught:
        await bench.batcher.submit("k", ["c"])
    assert caught.value.retry_after_seconds >= 1
    with pytest.raises(Overloaded):
        bench.batcher.admit()
    bench.gate.set()
    await asyncio.gather(*waiting)
    assert bench.waiting.size == 0
    assert await bench.submit("k", "c") == ["C"]


async def test_the_time_to_come_back_follows_the_measured_rate() -> None:
    bench = Bench(batch=10, queue=40)
    bench.gate.clear()
    slow = bench.submit("k", "a" * 10)
    await asyncio.sleep(0.5)
    bench.gate.set()
    await slow  # 20 a second
    await bench.blocked()
    bench.submit("k", "b" * 40)
    await settle()
    with pytest.raises(Overloaded) as caught:
        bench.batcher.admit()
    assert 2 <= caught.value.retry_after_seconds <= 3
    bench.gate.set()


async def test_an_empty_queue_takes_a_caller_larger_than_itself() -> None:
    bench = Bench(queue=3)
    assert await bench.submit("k", "larger") == ["LARGER"]


async def test_a_deadline_is_kept_while_waiting_and_frees_its_place() -> None:
    bench = Bench(queue=5)
    first = await bench.blocked()
    late = bench.submit("k", "aaaaa", timeout_seconds=0.01)
    with pytest.raises(DeadlineExceeded, match=r"0\.01 seconds"):
        await late
    assert bench.waiting.size == 0
    after = bench.submit("k", "b")
    bench.gate.set()
    assert await asyncio.gather(first, after) == [["X"], ["B"]]
    assert bench.batches == [("k", ["b"])]


async def test_what_is_too_late_before_its_batch_is_not_computed() -> None:
    bench = Bench()
    with pytest.raises(DeadlineExceeded):
        await bench.batcher.submit("k", ["a"], timeout_seconds=1e-9)
    assert bench.batches == []
    assert bench.waiting.size == 0


async def test_a_deadline_is_kept_while_computing_and_the_work_is_told() -> None:
    bench = Bench()
    bench.gate.clear()
    late, patient = bench.submit("k", "a", timeout_seconds=0.01), bench.submit("k", "b")
    with pytest.raises(DeadlineExceeded):
        await late
    assert bench.wanted()
    patient.cancel()
    await settle()
    assert not bench.wanted()
    bench.gate.set()


async def test_a_cancelled_caller_does_not_stall_its_neighbours() -> None:
    bench = Bench()
    first = await bench.blocked()
    gone, stays = bench.submit("k", "a"), bench.submit("k", "b")
    await settle()
    gone.cancel()
    first.cancel()
    await settle()
    assert bench.waiting.size == 1
    bench.gate.set()
    assert await stays == ["B"]
    assert bench.batches == [("k", ["b"])]
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    assert bench.batcher.idle


async def test_a_failure_is_told_to_those_alone_whose_item_fails() -> None:
    bench = Bench(batch=100)
    items = [*"abcdefg", "bad", *"hij", "bad too", "k"]
    tasks = [bench.submit("k", item) for item in items]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for item, answer in zip(items, answers, strict=True):
        if "bad" in item:
            assert isinstance(answer, ValueError)
        else:
            assert answer == [item.upper()]


async def test_a_caller_whose_one_item_fails_is_told_once_and_its_rest_is_dropped() -> None:
    bench = Bench(batch=3)
    with pytest.raises(ValueError, match="bad item"):
        await bench.submit("k", "bad", *["aaa"] * 50)
    await settle()
    assert len(bench.batches) < 5
    assert bench.waiting.size == 0


async def test_the_death_of_the_batch_task_fails_its_callers_and_nobody_else() -> None:
    bench = Bench()
    first = await bench.blocked()
    later = bench.submit("k", "a")
    await settle()
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == BATCH_TASK]
    task.cancel()
    with pytest.raises(NotReady):
        await first
    bench.gate.set()
    assert await later == ["A"]
    assert await bench.submit("k", "b") == ["B"]


async def test_an_abort_fails_everybody_who_waits() -> None:
    bench = Bench()
    first = await bench.blocked()
    later = bench.submit("k", "a")
    await settle()
    bench.batcher.abort(NotReady("going down"))
    for task in (first, later):
        with pytest.raises(NotReady, match="going down"):
            await task
    assert not bench.wanted()
    assert bench.batcher.idle
    bench.gate.set()


async def test_the_observer_sees_waits_batches_and_the_queue_length() -> None:
    bench = Bench(batch=4)
    await asyncio.gather(bench.submit("k", "aa", "bb"), bench.submit("k", "c"))
    assert bench.record.sizes == [3, 2]
    assert len(bench.record.waits) == 3
    assert bench.record.lengths == [4, 5, 2, 0]
