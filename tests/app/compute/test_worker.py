import asyncio
import threading
from typing import NoReturn

import pytest

from app.compute.worker import Worker
from app.errors import NotReady

pytestmark = pytest.mark.anyio


def die() -> NoReturn:
    raise SystemExit


def fail() -> NoReturn:
    raise ValueError("no")


async def test_functions_run_one_after_another_in_one_named_thread() -> None:
    worker = Worker("one", lambda: None)
    names = await asyncio.gather(
        *(worker.run(lambda: threading.current_thread().name) for _ in range(3))
    )
    assert names == ["one"] * 3
    worker.stop(5)
    assert not worker.alive


async def test_a_short_function_runs_on_the_event_loop_once_there_is_a_thread() -> None:
    gate = threading.Event()
    worker = Worker("one", lambda: gate.wait() and None)

    def name() -> str:
        return threading.current_thread().name

    early = asyncio.create_task(worker.run(name, here=True))
    await asyncio.sleep(0.01)
    gate.set()
    assert await early == "one"
    assert await worker.run(name, here=True) == threading.current_thread().name
    assert await worker.run(name) == "one"
    with pytest.raises(ValueError, match="no"):
        await worker.run(fail, here=True)
    with pytest.raises(NotReady, match="died"):
        await worker.run(die)
    assert await worker.run(name, here=True) in {"one", threading.current_thread().name}
    assert worker.alive
    worker.stop(5)


async def test_the_thread_is_initialised_before_it_computes() -> None:
    there = threading.local()
    worker = Worker("one", lambda: setattr(there, "value", 3))
    assert await worker.run(lambda: there.value) == 3
    worker.stop(5)


async def test_a_failure_is_the_callers_and_the_thread_lives() -> None:
    worker = Worker("one", lambda: None)
    with pytest.raises(ValueError, match="no"):
        await worker.run(fail)
    assert worker.alive
    worker.stop(5)


async def test_a_thread_that_dies_says_so_and_the_next_function_has_a_new_one() -> None:
    worker = Worker("one", lambda: None)
    with pytest.raises(NotReady, match="died"):
        await worker.run(die)
    async with asyncio.timeout(5):
        while not worker.alive:  # nobody needs to ask for it
            await asyncio.sleep(0.001)
    assert await worker.run(lambda: 5) == 5
    worker.stop(5)


async def test_a_thread_is_not_alive_until_it_is_initialised_and_when_it_has_died() -> None:
    gate = threading.Event()
    worker = Worker("one", lambda: gate.wait() and None)
    worker.start()
    assert not worker.alive
    gate.set()
    await worker.run(lambda: 1)
    assert worker.alive
    gate.clear()
    with pytest.raises(NotReady):
        await worker.run(die)
    assert not worker.alive
    gate.set()
    await worker.run(lambda: 1)
    assert worker.alive
    worker.stop(5)


async def test_a_caller_that_has_left_is_not_answered() -> None:
    worker = Worker("one", lambda: None)
    gate = threading.Event()
    task = asyncio.create_task(worker.run(gate.wait))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await worker.run(lambda: 1) == 1
    worker.stop(5)


async def test_a_stop_waits_no_longer_than_it_is_told_to() -> None:
    worker = Worker("one", lambda: None)
    gate = threading.Event()
    task = asyncio.create_task(worker.run(gate.wait))
    await asyncio.sleep(0.01)
    worker.stop(0.01)
    assert worker.alive
    gate.set()
    assert await task
    worker.stop(5)
    assert not worker.alive
