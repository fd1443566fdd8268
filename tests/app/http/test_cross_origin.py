"""What browsers ask before they send the requests of other origins' pages."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.errors import ErrorBody
from app.settings import Settings
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio

OURS = "https://example.org"
KEY = "k" * 20
HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


@pytest.fixture
async def browser(artifacts: dict[str, Path], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a server that needs keys and lets in the pages of one origin."""
    (tmp_path / "keys").write_text(KEY)
    settings = Settings(
        models=(artifacts["regression"],),
        api_keys_file=tmp_path / "keys",
        cors_origins=(OURS,),
        root_path="/mcd",
    )
    async with asking(settings) as client:
        yield client


async def preflight(
    browser: httpx.AsyncClient, origin: str = OURS, method: str = "POST", headers: str = "x-api-key"
) -> httpx.Response:
    names = {"origin": origin, "method": method, "headers": headers}
    asked = {
        f"access-control-request-{name}" if name != "origin" else name: value
        for name, value in names.items()
    }
    return await browser.options("/predict", headers={**asked, "x-request-id": "id-1"})


async def test_a_page_of_an_origin_that_the_settings_name_gets_its_answer(
    browser: httpx.AsyncClient,
) -> None:
    asked = await preflight(browser)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == OURS
    assert "x-api-key" in asked.headers["access-control-allow-headers"]
    sent = {"origin": OURS, "x-api-key": KEY}
    answer = await browser.post("/predict", json={"rows": [HOUSE]}, headers=sent)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    refused = await browser.post("/predict", json={"rows": [HOUSE]}, headers={"origin": OURS})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize(
    ("different", "part"),
    [
        ({"origin": "https://other.org"}, "'https://other.org'"),
        ({"origin": "https://other.org/" + "x" * 5000}, "MCD_CORS_ORIGINS"),
        ({"method": "DELETE"}, "'DELETE'"),
        ({"headers": "x-api-key, x-secret"}, "authorization"),
    ],
)
async def test_what_a_page_may_not_do_is_refused_as_everything_is(
    browser: httpx.AsyncClient, different: dict[str, str], part: str
) -> None:
    response = await preflight(browser, **different)
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (400, "cross_origin")
    assert part in error.error
    assert len(error.error) < 200


@pytest.mark.parametrize("origin", [OURS, "https://other.org"])
async def test_every_answer_to_a_preflight_request_has_the_common_headers(
    browser: httpx.AsyncClient, origin: str
) -> None:
    headers = (await preflight(browser, origin=origin)).headers
    assert headers["x-request-id"] == "id-1"
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_request_that_is_no_preflight_request_needs_a_key(
    browser: httpx.AsyncClient,
) -> None:
    assert (await browser.options("/predict")).status_code == 401
    assert (await browser.options("/predict", headers={"origin": OURS})).status_code == 401


async def test_a_star_lets_any_page_in(artifacts: dict[str, Path]) -> None:
    settings = Settings(models=(artifacts["regression"],), cors_origins=("*",))
    async with asking(settings) as client:
        asked = await preflight(client, origin="https://other.org")
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")
        answer = await client.get("/models", headers={"origin": "https://other.org"})
        assert answer.headers["access-control-allow-origin"] == "*"
