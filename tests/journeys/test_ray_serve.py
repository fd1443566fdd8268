"""The service on Ray Serve: two nodes, with a replica and a proxy on each.

The imported tests are those of the routes: here they ask Ray's proxies.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

import model
from app.errors import ErrorBody
from model import PredictOptions
from tests.app.native.test_refusals import (
    test_a_body_of_just_the_largest_size_is_read,
    test_a_form_as_curl_sends_it_by_default_is_told_which_header_to_add,
    test_a_huge_value_is_refused_or_answered_with_finite_numbers,
    test_a_nasty_body_is_refused_with_its_reason,
    test_bad_requests_do_not_disturb_the_good_ones_beside_them,
    test_json_is_taken_when_the_headers_say_json_or_nothing,
    test_rows_and_passes_up_to_their_limits_are_answered,
    test_the_edge_of_an_options_domain_is_inside,
)
from tests.app.native.test_routes import (
    test_an_answer_holds_what_the_model_predicts,
    test_an_answer_is_json_with_a_request_id,
    test_arrays_in_card_order_are_the_same_as_objects,
    test_every_task_answers_what_the_documented_schema_says,
    test_options_that_are_null_are_the_models_own,
    test_samples_have_the_mean_and_variance_that_are_reported,
)
from tests.app.v2.test_refusals import (
    test_a_client_waits_no_longer_than_its_timeout,
    test_an_unknown_model_or_version_is_a_404,
    test_an_unknown_path_is_a_404,
    test_another_type_or_encoding_is_a_415,
    test_what_is_no_json_request_is_refused,
    test_wrong_inputs_are_refused_with_what_is_wrong,
    test_wrong_options_and_outputs_are_refused_by_their_name,
)
from tests.app.v2.test_routes import (
    test_a_body_needs_no_content_type,
    test_a_model_of_numbers_takes_one_tensor_and_any_other_one_per_feature,
    test_a_request_as_the_kserve_client_sends_it_is_answered,
    test_a_version_is_the_cards,
    test_an_id_comes_back_and_what_clients_add_is_ignored,
    test_each_output_is_binary_where_asked,
    test_outputs_that_are_asked_for_come_exactly_and_in_order,
    test_the_metadata_has_the_datatype_and_the_shape_of_every_output,
    test_the_numbers_are_those_of_the_native_route,
    test_the_seed_of_an_answer_repeats_it,
    test_the_server_says_what_it_is,
)
from tests.journeys.ray_cluster import SMALL, RayCluster, ray_cluster
from tests.journeys.serving import ROW, until
from tests.load import Load

_logger = logging.getLogger(__name__)  # pytest --log-cli-level=INFO shows the figures
pytestmark = [pytest.mark.ray, pytest.mark.anyio]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(cluster: RayCluster) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=cluster.url, timeout=60) as client:
        yield client


def test_the_same_seed_gets_the_numbers_of_one_process_from_each_replica(
    cluster: RayCluster, artifacts: dict[str, Path]
) -> None:
    """Each call has a connection of its own, and each proxy prefers the replica beside it."""
    asked = {"rows": [ROW], "seed": 3, "passes": 50}
    expected = model.load(artifacts["regression"]).predict([ROW], PredictOptions(50, seed=3))
    [mean] = expected.rows.columns["mean"].ravel().tolist()
    answered = list[int]()  # as the replica that is asked counts them
    for _ in range(30):
        answer = httpx.post(f"{cluster.url}/predict", json=asked, timeout=60).json()
        assert answer["predictions"][0]["mean"] == pytest.approx(mean, rel=1e-5)
        text = httpx.get(f"{cluster.url}/metrics", timeout=60).text
        found = re.search(
            r'^mcd_requests_total{model="regression",outcome="ok"} (\S+)$', text, re.M
        )
        answered.append(int(float(found[1])) if found else 0)
    of_one_process = list(range(answered[0], answered[0] + len(answered)))
    assert answered != of_one_process


async def test_a_head_has_no_body_and_an_answer_has_one_request_id(
    client: httpx.AsyncClient,
) -> None:
    head, got = await client.head("/models"), await client.get("/models")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))
    named = await client.get("/models", headers={"x-request-id": "abc"})
    assert named.headers.get_list("x-request-id") == ["abc"]
    assert got.headers["x-request-id"] != head.headers["x-request-id"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_proxy_refuses_a_large_body_as_the_service_does(
    client: httpx.AsyncClient, announced: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b" " * 100_001

    content = b" " * 100_001 if announced else pieces()
    response = await client.post("/predict", content=content)
    assert response.status_code == 413
    assert ErrorBody.model_validate_json(response.content).code == "body_too_large"
    assert response.headers["connection"] == "close"


async def test_too_many_requests_that_wait_get_429_and_are_told_when_to_come_back(
    client: httpx.AsyncClient,
) -> None:
    """One request may be at the replica of the small application, and one may wait for it."""
    asked = {"rows": [ROW] * 50, "passes": 100, "seed": 1}
    answers = await asyncio.gather(
        *(client.post(f"{SMALL}/predict", json=asked) for _ in range(40))
    )
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert ErrorBody.model_validate_json(answer.content).code == "overloaded"
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-request-id"]


@pytest.mark.parametrize("lost", ["node", "replica"])  # at first, each node has a replica
def test_a_loss_under_load_fails_hardly_a_request_and_none_twice(
    cluster: RayCluster, lost: str
) -> None:
    asked = {"rows": [ROW], "seed": 1}
    with Load(cluster.url, asked, clients=6, again_after=1.0) as load:
        before = cluster.tell("status")
        gone = before["on_second"] if lost == "node" else before["processes"][-1:]
        until(lambda: load.outcomes["200"] > 600)
        cluster.tell(f"kill {lost}")
        seconds = until(lambda: cluster.recovered(gone), 180)
        most = load.outcomes["200"]
        until(lambda: load.outcomes["200"] > most + 500)
    failed = sum(load.failed().values())
    _logger.info("after the loss of a %s with %d replicas: ", lost, len(gone))
    _logger.info("%s, then %s", load.outcomes, load.again)
    _logger.info("slowest %.2f s, recovered in %.1f s", load.slowest_seconds, seconds)
    assert failed <= 0.01 * sum(load.outcomes.values())
    assert set(load.again) <= {"200"}
    means = sorted(load.means)
    assert means == pytest.approx([means[0]] * len(means), rel=1e-5)
