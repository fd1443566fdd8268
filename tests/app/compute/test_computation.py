"""Whoever shares a batch, and however a request is cut: its numbers are its own."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import model
from app.compute import Computation
from app.errors import DeadlineExceeded
from app.metrics import Metrics
from app.settings import Settings
from model import InputError, Predictions, PredictOptions, Predictor
from model.artifact.folder import read

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


@pytest.fixture(scope="module")
def predictors(artifacts: dict[str, Path]) -> dict[str, Predictor]:
    return {name: model.load(folder) for name, folder in artifacts.items()}


@pytest.fixture(scope="module")
def slow(slow_artifact: Path) -> Predictor:
    return model.load(slow_artifact)


async def computed(
    requests: list[tuple[Predictor, list[Any], PredictOptions]], **knobs: Any
) -> tuple[list[Predictions | BaseException], Metrics]:
    """The answers to requests that all come at once."""
    metrics = Metrics()
    computation = Computation(Settings(**knobs), metrics)
    answers = await asyncio.gather(
        *(
            computation.predict(predictor, predictor.encode(rows), options)
            for predictor, rows, options in requests
        ),
        return_exceptions=True,
    )
    await computation.stop(5)
    return answers, metrics


def batches(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("mcd_batch_rows_count") or 0


def numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
    else:
        yield value


def told(predictions: Predictions) -> list[Any]:
    """All that predictions say, row by row."""
    others = [
        getattr(predictions, each.name) for each in fields(predictions) if each.name != "rows"
    ]
    return [*others, *map(asdict, predictions.rows)]


def same(found: Any, expected: Any) -> bool:
    """Whether both hold the same numbers, to 1e-5 relative, and the same words."""
    pairs = list(zip(numbers(told(found)), numbers(told(expected)), strict=True))
    return all(
        a == (pytest.approx(b, rel=1e-5, abs=1e-9) if type(b) is float else b) for a, b in pairs
    )


houses = st.fixed_dictionaries(
    {
        "area": st.floats(20, 200),
        "rooms": st.integers(1, 9),
        "quarter": st.sampled_from(["east", "north", "south"]),
    }
)
options = st.builds(
    PredictOptions,
    passes=st.sampled_from([10, 40]),
    seed=st.sampled_from([1, 2]),
    masks=st.sampled_from(["shared", "per_row"]),
    estimator=st.sampled_from(["plain", "reduced"]),
    tolerance=st.sampled_from([None, None, 0.2]),
)


@cache
def loaded(folder: Path) -> Predictor:
    return model.load(folder)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["regression", "multiclass"]),
            st.lists(houses, min_size=1, max_size=7),
            options,
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 20),
)
async def test_batched_is_the_same_as_alone(
    artifacts: dict[str, Path],
    requests: list[tuple[str, list[Any], PredictOptions]],
    batch_rows: int,
) -> None:
    asked = [(loaded(artifacts[name]), rows, chosen) for name, rows, chosen in requests]
    answers, _ = await computed(asked, batch_rows=batch_rows)
    for answer, (predictor, rows, chosen) in zip(answers, asked, strict=True):
        assert same(answer, predictor.predict(rows, chosen))


async def test_requests_with_equal_options_are_one_batch_and_others_are_not(
    predictors: dict[str, Predictor],
) -> None:
    one, two = predictors["regression"], predictors["binary"]
    equal = [(one, [HOUSE], PredictOptions(seed=1)) for _ in range(5)]
    _, metrics = await computed(equal)
    assert batches(metrics) == 1
    other = [(one, [HOUSE], PredictOptions(seed=2)), (two, [HOUSE], PredictOptions(seed=1))]
    _, metrics = await computed(equal + other)
    assert batches(metrics) == 3


@pytest.mark.parametrize("masks", ["shared", "per_row"])
async def test_the_fresh_seed_of_an_answer_repeats_it_alone(
    predictors: dict[str, Predictor], masks: Any
) -> None:
    predictor = predictors["regression"]
    rows = [{**HOUSE, "area": 40.0 + step} for step in range(45)]
    fresh = PredictOptions(passes=20, masks=masks)
    asked = [(predictor, rows, fresh), (predictor, rows[:3], fresh), (predictor, rows[3:5], fresh)]
    answers, _ = await computed(asked, batch_rows=10)
    for answer, (_, sent, _) in zip(answers, asked, strict=True):
        assert isinstance(answer, Predictions)
        again = PredictOptions(passes=20, masks=masks, seed=answer.seed)
        assert same(answer, predictor.predict(sent, again))


async def test_a_row_that_overflows_fails_its_own_request_and_is_named_by_its_place_in_it(
    predictors: dict[str, Predictor],
) -> None:
    predictor = predictors["regression"]
    chosen = PredictOptions(seed=1, passes=10)
    far = {**HOUSE, "area": 3e38}
    asked = [
        (predictor, [HOUSE] * 3, chosen),
        (predictor, [*[HOUSE] * 24, far, HOUSE], chosen),
        (predictor, [HOUSE, far], chosen),
        (predictor, [HOUSE] * 12, chosen),
    ]
    answers, _ = await computed(asked, batch_rows=10)
    for answer, place in ((answers[1], "rows.24"), (answers[2], "rows.1")):
        assert isinstance(answer, InputError)
        assert str(answer).startswith(f"{place}: ")
        assert answer.details[0].field == place
    for index in (0, 3):
        assert same(answers[index], predictor.predict(asked[index][1], chosen))


async def test_a_request_past_its_deadline_stops_computing(
    slow: Predictor,
) -> None:
    computation = Computation(Settings(), Metrics())
    x = slow.encode([HOUSE] * 1000)
    long = PredictOptions(passes=10_000, masks="per_row")
    with pytest.raises(DeadlineExceeded):
        await computation.predict(slow, x, long, timeout_seconds=0.05)
    async with asyncio.timeout(1):
        await computation.predict(slow, x[:1], PredictOptions(passes=2))
    await computation.stop(5)


async def test_a_caller_that_leaves_stops_computing(slow: Predictor) -> None:
    computation = Computation(Settings(), Metrics())
    x = slow.encode([HOUSE] * 1000)
    long = PredictOptions(passes=10_000, masks="per_row")
    task = asyncio.create_task(computation.predict(slow, x, long))
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(1):
        await computation.predict(slow, x[:1], PredictOptions(passes=2))
    assert computation.idle
    await computation.stop(5)


async def test_a_stop_gives_up_on_what_runs_too_long(slow: Predictor) -> None:
    computation = Computation(Settings(), Metrics())
    x = slow.encode([HOUSE] * 1000)
    long = PredictOptions(passes=10_000, masks="per_row")
    task = asyncio.create_task(computation.predict(slow, x, long))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await computation.stop(0.1)
    with pytest.raises(Exception, match="stopping"):
        await task
    assert not computation.alive


class Watched(Predictor):
    """A predictor that notes which threads compute."""

    threads: ClassVar[list[str]] = []

    def predict_encoded(self, *args: Any, **options: Any) -> Predictions:
        self.threads.append(threading.current_thread().name)
        return super().predict_encoded(*args, **options)


async def test_batches_known_to_be_short_are_computed_on_the_event_loop_and_no_others(
    artifacts: dict[str, Path],
) -> None:
    predictor = Watched(*read(artifacts["regression"]))
    computation = Computation(Settings(), Metrics())
    computation.start()

    async def threads(rows: int, **options: Any) -> list[str]:
        x = predictor.encode([HOUSE] * rows)
        Watched.threads.clear()
        for _ in range(3):
            await computation.predict(predictor, x, PredictOptions(**options))
        return Watched.threads

    thread, loop = "mcd-inference", threading.current_thread().name
    assert (await threads(1, passes=10))[0] == thread  # how long it takes is not known
    async with asyncio.timeout(30):
        while await threads(1, passes=10) != [loop] * 3:
            pass  # on a busy machine, that it is short shows late
    assert set(await threads(2_000, passes=4_000)) == {thread}
    assert set(await threads(1, passes=10, tolerance=0.1)) == {thread}
    await computation.stop(5)


@pytest.mark.parametrize("masks", ["shared", "per_row"])
async def test_a_short_request_does_not_wait_for_long_ones(slow: Predictor, masks: Any) -> None:
    computation = Computation(Settings(), Metrics())
    one, many = slow.encode([HOUSE]), slow.encode([HOUSE] * 400)
    short = PredictOptions(passes=10)
    for _ in range(5):  # until it is known that it is short
        await computation.predict(slow, one, short)
    long = PredictOptions(passes=10_000, masks=masks)
    running = [asyncio.create_task(computation.predict(slow, many, long)) for _ in range(3)]
    await asyncio.sleep(0.05)
    for passes in (10, 5):  # one as before, and one that was never asked for
        await computation.predict(slow, one, PredictOptions(passes=passes))
    assert not any(task.done() for task in running)
    computation.give_up()
    await asyncio.gather(*running, return_exceptions=True)
    await computation.stop(5)


async def test_a_request_of_many_passes_is_cut_into_batches_of_little_time(
    predictors: dict[str, Predictor],
) -> None:
    predictor, metrics = predictors["regression"], Metrics()
    computation = Computation(Settings(), metrics)
    x = predictor.encode([HOUSE] * 64)
    long = PredictOptions(passes=10_000, masks="per_row", seed=1)
    answers = [await computation.predict(predictor, x, long) for _ in range(2)]
    assert same(answers[0], answers[1])
    largest = metrics.registry.get_sample_value("mcd_batch_rows_bucket", {"le": "64.0"})
    assert batches(metrics) == largest
    assert batches(metrics) >= 3  # the second request knows how long its rows take
    await computation.stop(5)
