"""Predictions of any number of rows, by either client, from a real server."""

import re
from pathlib import Path

import httpx
import numpy as np
import pytest

import model
from mc_dropout_client import (
    ClassificationPrediction,
    Client,
    RefusedRequest,
    RegressionPrediction,
    TargetsPrediction,
    UnexpectedAnswer,
)
from tests.client.asking import Connect
from tests.client.conftest import KEY, OTHER
from tests.journeys.serving import ROW, Served

MANY = 100_000
FEW = 2_000
PASSES = 8


def rows_of(count: int) -> list[list[object]]:
    """Rows of which each has its own prediction."""
    quarters = ("east", "north", "south")
    return [[40 + 100 * at / count, 1 + at % 8, quarters[at % 3]] for at in range(count)]


def refusals(server: Served) -> float:
    """How many requests the server has refused with status 429."""
    metrics = httpx.get(f"{server.url}/metrics", headers={"x-api-key": OTHER}).text
    found = re.findall(
        r'^mcd_rejected_total\{reason="(?:overloaded|rate_limited)"\} (\S+)', metrics, re.M
    )
    return sum(map(float, found))


def means(folder: Path, rows: list[list[object]], **options: object) -> np.ndarray:
    """The means that the model itself predicts."""
    chosen = model.PredictOptions(**options)  # type: ignore[arg-type]
    return np.asarray(model.load(folder).predict(rows, chosen).rows.columns["mean"]).ravel()


def test_a_hundred_thousand_rows_come_back_in_order_through_a_busy_server(
    ask: Connect, busy: Served, regression_artifact: Path
) -> None:
    rows = rows_of(MANY)
    before = refusals(busy)
    with ask(busy.url, key=KEY, patience_seconds=300, rows_per_request=5_000) as client:
        answer = client.predict(rows, seed=7, passes=PASSES)
    assert refusals(busy) > before
    found = np.array([prediction.mean for prediction in answer])
    expected = means(regression_artifact, rows, seed=7, passes=PASSES)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (answer.seed, answer.passes, answer.stopped) == (7, PASSES, "passes")


def test_chunks_give_the_numbers_of_one_request(ask: Connect, small: Served) -> None:
    rows = rows_of(600)
    with ask(small.url) as one, ask(small.url, rows_per_request=70) as several:
        whole, parts = (client.predict(rows, seed=3, passes=10) for client in (one, several))
    assert parts.model == whole.model
    for a, b in zip(parts, whole, strict=True):
        assert a.mean == pytest.approx(b.mean, rel=1e-6)
        assert a.std == pytest.approx(b.std, rel=1e-4)


def test_chunks_shrink_to_the_limits_that_the_server_names(
    ask: Connect, small: Served, regression_artifact: Path
) -> None:
    """Limits of 700 rows and of 9,000 rows x passes: 90 rows."""
    rows = rows_of(FEW)
    with ask(small.url) as client:
        answer = client.predict(rows, seed=1, passes=100)
    expected = means(regression_artifact, rows, seed=1, passes=100)
    np.testing.assert_allclose([each.mean for each in answer], expected, rtol=1e-5)


def test_a_limit_that_fewer_rows_do_not_change_is_an_error_at_once(
    ask: Connect, small: Served
) -> None:
    with ask(small.url) as client, pytest.raises(RefusedRequest, match="MCD_MAX_PASSES") as caught:
        client.predict(rows_of(500), passes=2_000)
    assert (caught.value.status, caught.value.code) == (422, "limit_exceeded")
    assert caught.value.details[0].field == "passes"


def test_a_drawn_seed_is_one_for_all_chunks_and_repeats_the_numbers(
    ask: Connect, small: Served
) -> None:
    rows = [[100.0, 2, "east"]] * 300
    with ask(small.url, rows_per_request=100) as client:
        first = client.predict(rows, passes=10)
        again = client.predict(rows, passes=10, seed=first.seed)
    numbers = [each.mean for each in first]
    assert numbers == pytest.approx([numbers[0]] * 300, rel=1e-6)
    assert numbers == pytest.approx([each.mean for each in again], rel=1e-6)


def test_masks_of_rows_are_new_in_every_chunk(ask: Connect, small: Served) -> None:
    rows = [[100.0, 2, "east"]] * 60
    with ask(small.url, rows_per_request=20) as client:
        answer = client.predict(rows, passes=10, masks="per_row", estimator="plain", seed=5)
    assert len({round(each.mean, 6) for each in answer}) == len(rows)


def test_a_fault_in_a_late_chunk_names_the_row_of_the_caller(ask: Connect, small: Served) -> None:
    rows = rows_of(FEW)
    rows[1_234][1] = "many"
    with ask(small.url) as client, pytest.raises(RefusedRequest, match=r"^rows\.1234") as caught:
        client.predict(rows, passes=10)
    assert [detail.field for detail in caught.value.details] == ["rows.1234.rooms"]


def test_each_task_has_predictions_of_its_own_type(ask: Connect, small: Served) -> None:
    with ask(small.url) as client:
        one = client.predict([ROW], model="regression")[0]
        two = client.predict([ROW], model="two_targets", samples=True, passes=10)[0]
        label = client.predict([ROW], model="multiclass")[0]
    assert isinstance(one, RegressionPrediction)
    assert one.interval.lower < one.mean < one.interval.upper
    assert isinstance(two, TargetsPrediction)
    assert two.interval.lower["rent"] < two.mean["rent"] < two.interval.upper["rent"]
    assert two.samples
    assert set(two.samples[0]) == {"price", "rent"}
    assert isinstance(label, ClassificationPrediction)
    assert label.label in label.mean
    assert label.label_set
    assert label.label in label.label_set.labels


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("rows", "is a str"),
        ([3], r"rows\.0: is a int"),
        ([{"area": object()}], r"rows\.0\.area: is a object"),
        ([{"area": float("inf")}], r"rows\.0\.area: is infinite"),
    ],
)
def test_what_is_no_table_is_refused_before_it_is_sent(
    ask: Connect, rows: object, words: str
) -> None:
    with ask("http://localhost:9") as client, pytest.raises(RefusedRequest, match=words):
        client.predict(rows)


def test_arrays_and_missing_values_are_rows(ask: Connect, small: Served) -> None:
    with ask(small.url) as client:
        (of_array,) = client.predict(np.array([[100.0, 2, "east"]], object), seed=1)
        (found,) = client.predict([(np.float32(100), np.int64(2), "east")], seed=1)
        (expected,) = client.predict([[100, 2, "east"]], seed=1)
        with pytest.raises(RefusedRequest, match="rooms"):
            client.predict([[100.0, float("nan"), "east"]])
    assert of_array == found == expected


def test_an_unknown_option_is_an_error_of_python(ask: Connect) -> None:
    with ask("http://localhost:9") as client, pytest.raises(TypeError, match="n_samples"):
        client.predict([ROW], n_samples=3)


def test_a_model_that_changes_between_two_chunks_is_an_error(small: Served) -> None:
    """A transport of the caller's own pretends that the server has loaded another version."""
    versions = iter("abcdef")

    def answer(request: httpx.Request) -> httpx.Response:
        found = httpx.post(small.url + request.url.path, content=request.content, timeout=60).json()
        found["model"]["version"] = next(versions)
        return httpx.Response(200, json=found)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        client = Client(small.url, http=http, rows_per_request=5, concurrency=1)
        with pytest.raises(UnexpectedAnswer, match="from a to b") as caught:
            client.predict(rows_of(10))
        assert caught.value.code == "model_changed"
        client.close()
        assert not http.is_closed
