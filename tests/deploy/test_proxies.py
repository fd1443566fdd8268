"""Three servers behind nginx and behind HAProxy, as deploy/proxy configures them."""

import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.deploy.proxies import ASKED, PROXIES, Fleet, certified
from tests.deploy.tools import program
from tests.journeys.serving import until
from tests.load import Load

ENOUGH = 20  # requests between two events
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Place:
    """Both proxies before one fleet."""

    fleet: Fleet
    urls: list[str]
    context: ssl.SSLContext

    def post(self, url: str, content: bytes) -> httpx.Response:
        with httpx.Client(verify=self.context, timeout=60) as client:
            return client.post(f"{url}/predict", content=content)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("proxies")
    for name in PROXIES:
        program(name, name)
    context = certified(folder)
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(folder))
        urls = [stack.enter_context(proxy(folder, fleet.ports)) for proxy in PROXIES.values()]
        yield Place(fleet, urls, context)


def mean(url: str) -> float:
    """What a server answers to the request of the load."""
    answer = httpx.post(f"{url}/predict", json=ASKED, timeout=60).json()
    return float(answer["predictions"][0]["mean"])


def answered(url: str) -> float:
    """How many predictions a server has made."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    found = re.search(r'^mcd_requests_total\{.*outcome="ok"\} (\S+)$', text, re.M)
    return float(found[1]) if found else 0


def test_a_rolling_stop_behind_either_proxy_fails_no_request_and_changes_no_number(
    place: Place,
) -> None:
    """`python -m tests.benchmarks.proxies` stops them twenty times."""
    fleet = place.fleet
    with ExitStack() as stack:
        loads = [stack.enter_context(Load(url, ASKED, verify=place.context)) for url in place.urls]

        def ask_more() -> None:
            before = [load.outcomes["200"] for load in loads]
            pairs = list(zip(loads, before, strict=True))
            until(lambda: all(load.outcomes["200"] > count + ENOUGH for load, count in pairs))

        ask_more()
        fleet.replace(0)
        until(lambda: answered(fleet.servers[0].url) > 0)  # the proxies have found it again
        ask_more()
    assert [dict(load.failed()) for load in loads] == [{}, {}]
    assert all(answered(server.url) for server in fleet.servers)
    [first, *others] = {mean(server.url) for server in fleet.servers}.union(
        *(load.means for load in loads)
    )
    assert others == pytest.approx([first] * len(others), rel=1e-5)


def test_a_proxy_shows_no_metrics_and_lets_the_service_refuse_a_large_body(place: Place) -> None:
    for url in place.urls:
        with httpx.Client(verify=place.context) as client:
            assert client.get(f"{url}/metrics").status_code == 404
            assert client.get(f"{url}/models").json()["default"] == "diabetes"
        refused = place.post(url, b" " * (8 * MEBIBYTE + 1))
        assert refused.status_code == 413
        assert refused.json()["code"] == "body_too_large"
        assert place.post(url, b" " * (9 * MEBIBYTE + 1)).status_code == 413


def test_without_a_server_a_proxy_answers_in_the_shape_of_the_service(place: Place) -> None:
    place.fleet.__exit__()
    for url in place.urls:
        answer = place.post(url, b"{}")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["code"] == "not_ready"
