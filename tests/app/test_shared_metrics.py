"""The numbers of several processes, each written by one and read by all."""

import multiprocessing
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import values

from app.metrics import Metrics
from app.shared_metrics import SLOT_BYTES, SharedMemory


@pytest.fixture(autouse=True)
def _the_librarys_own_numbers() -> Iterator[None]:
    """A process with a slot has one kind of numbers; here it is one of many tests."""
    kind = values.ValueClass
    yield
    values.ValueClass = kind


def shown(metrics: Metrics) -> dict[str, float]:
    """The samples by name and labels."""
    lines = metrics.render().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def work(memory: SharedMemory, number: int) -> None:
    """What a server process counts."""
    metrics = Metrics(memory, number)
    for _ in range(10):
        metrics.finished("houses", "ok", 0.02)
    metrics.queued(5)
    metrics.model_ready.labels("houses").set(number)


def worked(memory: SharedMemory, *numbers: int) -> None:
    """Processes with those slots have run, one after another."""
    context = multiprocessing.get_context("spawn")
    for number in numbers:
        process = context.Process(target=work, args=(memory, number))
        process.start()
        process.join(60)
        assert process.exitcode == 0


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_any_process_shows_the_numbers_of_all_in_the_form_of_a_single_one() -> None:
    memory = SharedMemory.allocate(3)
    worked(memory, 0, 1)
    third = Metrics(memory, 2)
    third.finished("houses", "ok", 3.0)
    found, alone = shown(third), Metrics()
    assert found['mcd_requests_total{model="houses",outcome="ok"}'] == 21
    assert found["mcd_request_duration_seconds_count"] == 21
    assert found["mcd_request_duration_seconds_sum"] == pytest.approx(3.4)
    assert found['mcd_request_duration_seconds_bucket{le="0.01"}'] == 0
    assert found['mcd_request_duration_seconds_bucket{le="0.025"}'] == 20
    assert found['mcd_request_duration_seconds_bucket{le="5.0"}'] == 21
    assert found["mcd_queue_rows"] == 10
    assert found['mcd_model_ready{model="houses"}'] == 0
    alone.finished("houses", "ok", 3.0)
    alone.queued(0)
    alone.model_ready.labels("houses").set(0)
    kinds = re.compile(r"^# (?:HELP|TYPE) (?!process_|\w+_created).*", re.M)
    assert kinds.findall(third.render().decode()) == kinds.findall(alone.render().decode())
    assert list(found) == [
        name for name in shown(alone) if not re.match(r"process_|\w+_created", name)
    ]


def test_a_process_that_replaces_another_goes_on_counting_and_has_gauges_of_its_own() -> None:
    memory = SharedMemory.allocate(2)
    worked(memory, 1)
    memory.slots[1].forget_gauges()
    first = Metrics(memory, 0)
    assert first.render().count(b"mcd_model_ready{") == 0
    assert shown(first)["mcd_queue_rows"] == 0
    worked(memory, 1)
    found = shown(first)
    assert found['mcd_requests_total{model="houses",outcome="ok"}'] == 20
    assert found["mcd_request_duration_seconds_sum"] == pytest.approx(0.4)
    assert found["mcd_queue_rows"] == 5
    assert found['mcd_model_ready{model="houses"}'] == 1


def test_a_full_slot_takes_no_more_numbers_and_breaks_nothing() -> None:
    metrics = Metrics(SharedMemory.allocate(1))
    for number in range(SLOT_BYTES // 50):
        metrics.finished(f"model-{number}", "ok", 0.02)
    found = shown(metrics)
    assert found['mcd_requests_total{model="model-0",outcome="ok"}'] == 1
    assert found["mcd_request_duration_seconds_count"] == SLOT_BYTES // 50
    assert 5000 < len(found) < SLOT_BYTES // 50


def test_memory_that_is_not_there_is_found_out_before_it_is_used() -> None:
    """A limit for files is what a full disk is: a write beyond it fails."""
    with largest_file(3 * SLOT_BYTES // 2), pytest.raises(OSError, match=r"space|large"):
        SharedMemory.allocate(2)
    SharedMemory.allocate(2)
