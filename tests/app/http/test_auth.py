"""Who is let in: the keys, and that no route but the probes is open without one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.errors import ErrorBody, RateLimited, Unauthorized
from app.http import PUBLIC_PATHS, Guard, read_keys
from app.http.auth import Key
from app.main import create_app
from app.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio

ALICE, BOB = "alice-0123456789abcdef", "bob-fedcba9876543210"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{ALICE} Alice of sales\n\n  {BOB}\n")
    return path


@pytest.fixture
async def guarded(artifacts: dict[str, Path], file: Path) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(models=(artifacts["regression"],), api_keys_file=file))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def stranger(guarded: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def test_keys_have_the_name_after_them_or_that_of_their_line(file: Path) -> None:
    keys = read_keys(file)
    assert [key.name for key in keys] == ["Alice of sales", "line 4"]
    assert ALICE not in repr(keys)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "holds no key"), ("# none\n", "holds no key"), ("ok-0123456789abcdef\nshort", "line 2")],
)
def test_a_file_of_no_or_weak_keys_stops_the_start_and_shows_no_key(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError, match=rf"MCD_API_KEYS_FILE: .*{reason}") as caught:
        read_keys(path)
    assert "short" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot read"):
        read_keys(tmp_path / "missing")


def test_a_guard_knows_whose_key_it_is_in_either_header(file: Path) -> None:
    guard = Guard(read_keys(file), 0)
    assert guard.check("/predict", {"authorization": f"Bearer {ALICE}"}) == "Alice of sales"
    assert guard.check("/predict", {"authorization": f"bearer  {ALICE} "}) == "Alice of sales"
    assert guard.check("/predict", {"x-api-key": BOB}) == "line 4"
    for path in PUBLIC_PATHS:
        assert guard.check(path, {"x-api-key": "wrong"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": ALICE},
        {"authorization": f"Basic {ALICE}"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {ALICE}x"},
        {"authorization": f"Bearer {ALICE[:-1]}"},
        {"authorization": f"Bearer {ALICE.upper()}"},
        {"x-api-key": ""},
        {"x-api-key": "\xff" * 20},
        {"x-api-key": "wrong", "authorization": f"Bearer {ALICE}"},
    ],
)
def test_any_other_key_is_refused(file: Path, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as caught:
        Guard(read_keys(file), 0).check("/predict", headers)
    assert ALICE not in str(caught.value)


class Watched(tuple[Key, ...]):
    """Keys that remember which of them were looked at."""

    seen: list[str]

    def __iter__(self) -> Iterator[Key]:
        for key in super().__iter__():
            self.seen.append(key.name)
            yield key


@pytest.mark.parametrize("sent", [ALICE, BOB, "carol-0123456789abcdef", "x", "\xff" * 500])
def test_no_key_is_found_sooner_than_another(file: Path, sent: str) -> None:
    """That one comparison takes the same time whatever it finds is the standard library's word."""
    keys = Watched(read_keys(file))
    keys.seen = []
    with suppress(Unauthorized):
        Guard(keys, 0).check("/predict", {"x-api-key": sent})
    assert keys.seen == ["Alice of sales", "line 4"]  # all of them, whichever it was
    assert len({len(key.digest) for key in read_keys(file)}) == 1  # however long the key


def test_a_key_that_asks_too_often_is_told_when_to_come_back(file: Path) -> None:
    now = 0.0
    guard = Guard(read_keys(file), 2, clock=lambda: now)
    for _ in range(2):
        guard.check("/predict", {"x-api-key": ALICE})
    with pytest.raises(RateLimited, match="MCD_RATE_LIMIT") as caught:
        guard.check("/predict", {"x-api-key": ALICE})
    assert caught.value.retry_after_seconds == 1
    guard.check("/predict", {"x-api-key": BOB})
    now = 0.5
    guard.check("/predict", {"x-api-key": ALICE})
    with pytest.raises(RateLimited):
        guard.check("/predict", {"x-api-key": ALICE})
    guard.check(PUBLIC_PATHS[0], {})


def test_a_limit_below_one_a_second_lets_the_first_request_in() -> None:
    now = 0.0
    guard = Guard((), 0.1, clock=lambda: now)
    guard.check("/predict", {})
    with pytest.raises(RateLimited) as caught:
        guard.check("/predict", {})
    assert caught.value.retry_after_seconds == 10


async def test_every_route_but_the_probes_and_the_files_of_pages_is_closed_to_strangers(
    guarded: FastAPI, stranger: httpx.AsyncClient
) -> None:
    contexts = list(iter_route_contexts(guarded.routes))
    assert len(contexts) > 10
    opened = set()
    for context in contexts:
        path = (
            (context.path or "")
            .replace(":path}", "}")
            .format(name="regression", version="1", asset="swagger-ui.css", path="js/app.js")
        )
        for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE"):
            response = await stranger.request(method, path)
            if response.status_code != 401:
                opened.add(path)
                continue
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["x-request-id"]
            if method != "HEAD":
                assert ErrorBody.model_validate_json(response.content).code == "unauthorized"
    assert opened == {*PUBLIC_PATHS, "/static/js/app.js", "/docs/swagger-ui.css"}
    for path in (
        "/nowhere",
        "/v2/health/live/",
        "//v2/health/live",
        "/v2/health/live/../../models",
        "/static",
    ):
        assert (await stranger.get(path)).status_code == 401


async def test_behind_a_prefix_the_same_routes_are_open_and_closed(guarded: FastAPI) -> None:
    transport = httpx.ASGITransport(guarded, root_path="/mcd")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in PUBLIC_PATHS:
            assert (await client.get(f"/mcd{path}")).status_code == 200
        for path in ("/mcd/models", "/mcd/mcd/v2/health/live", "/mcd", "/mcd/openapi.json"):
            assert (await client.get(path)).status_code == 401


async def test_a_key_opens_the_routes(stranger: httpx.AsyncClient) -> None:
    sent = {"rows": [{"area": 54.0, "rooms": 2.0, "quarter": "east"}]}
    for headers in ({"x-api-key": ALICE}, {"authorization": f"Bearer {BOB}"}):
        response = await stranger.post("/predict", json=sent, headers=headers)
        assert response.status_code == 200
    metrics = (await stranger.get("/metrics", headers={"x-api-key": ALICE})).text
    assert "mcd_rejected_total" in metrics


async def test_what_is_refused_is_counted_by_its_reason(stranger: httpx.AsyncClient) -> None:
    for _ in range(3):
        await stranger.get("/models")
    metrics = (await stranger.get("/metrics", headers={"x-api-key": ALICE})).text
    assert 'mcd_rejected_total{reason="unauthorized"} 3.0' in metrics
