"""Requests that come compressed, on the routes of either protocol, and answers that leave so."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import numpy as np
import pytest

from tests.app.inference import HOUSE, LIMIT_BYTES, house_request, infer, refused, request

pytestmark = pytest.mark.anyio

NATIVE = "/models/regression/predict"
BODIES = {
    NATIVE: json.dumps({"rows": [[54.0, 2.0, "east"]], "seed": 1}),
    HOUSE: request(parameters={"seed": 1}),
}
PACKS = [("gzip", gzip.compress), ("deflate", zlib.compress)]
both_routes = pytest.mark.parametrize("path", BODIES)
both_encodings = pytest.mark.parametrize(("encoding", "pack"), PACKS)


@pytest.fixture(scope="module")
def client(limited_v2: httpx.AsyncClient) -> httpx.AsyncClient:
    return limited_v2


@both_routes
@both_encodings
async def test_a_compressed_request_is_the_request(
    client: httpx.AsyncClient, path: str, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = BODIES[path].encode()
    expected = await client.post(path, content=body)
    packed = await client.post(path, content=pack(body), headers={"content-encoding": encoding})
    assert packed.status_code == 200
    assert packed.json() == expected.json()


@both_routes
@both_encodings
async def test_a_bomb_is_refused_without_the_memory_it_asks_for(
    client: httpx.AsyncClient, path: str, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(b" " * 50_000_000)
    assert len(bomb) < LIMIT_BYTES
    tracemalloc.start()
    error = await refused(client, path, bomb, {"content-encoding": encoding}, status=413)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "body_too_large"
    assert peak < 10 * LIMIT_BYTES


@both_routes
async def test_a_body_over_the_limit_is_refused_compressed_or_not(
    client: httpx.AsyncClient, path: str
) -> None:
    def padded(size: int) -> bytes:
        return BODIES[path].encode().ljust(size)

    for encoding, pack in (("identity", bytes), *PACKS):
        headers = {"content-encoding": encoding}
        largest = await client.post(path, content=pack(padded(LIMIT_BYTES)), headers=headers)
        assert largest.status_code == 200
        await refused(client, path, pack(padded(LIMIT_BYTES + 1)), headers, status=413)
    noise = np.random.default_rng(0).bytes(LIMIT_BYTES)
    await refused(client, path, gzip.compress(noise), {"content-encoding": "gzip"}, status=413)

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LIMIT_BYTES // 2)

    response = await client.post(path, content=streamed())  # declares no length
    assert response.status_code == 413


@both_routes
@both_encodings
async def test_damaged_compressed_data_is_refused(
    client: httpx.AsyncClient, path: str, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    good = pack(BODIES[path].encode())
    for bad in (b"", good[:-1], good[:20], good + b"\0", good[5:], b"{}", b"\0" * 99):
        error = await refused(client, path, bad, {"content-encoding": encoding})
        assert error.code == "not_json"


@both_routes
@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "", "zstd" * 99])
async def test_another_encoding_is_a_415_that_names_those_that_are_read(
    client: httpx.AsyncClient, path: str, encoding: str
) -> None:
    headers = {"content-encoding": encoding}
    error = await refused(client, path, BODIES[path], headers, status=415)
    assert error.code == "unsupported_media_type"
    assert "send gzip, deflate or none" in error.error


@both_encodings
async def test_an_answer_may_be_compressed(
    client: httpx.AsyncClient, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = house_request(parameters={"seed": 1}) | {"id": "x" * 600}
    expected = await infer(client, "regression", body)
    response = await client.post(
        HOUSE,
        content=pack(json.dumps(body).encode()),
        headers={"content-encoding": encoding, "accept-encoding": encoding},
    )
    assert response.headers["content-encoding"] == encoding
    assert int(response.headers["content-length"]) < len(response.content)
    assert response.json() == expected


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("br, GZIP;q=0.5", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0.0", None),
        (",;=,\xff", None),
    ],
)
async def test_an_answer_is_compressed_only_as_the_client_accepts(
    client: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    headers = {b"accept-encoding": accepted.encode("latin-1")}
    response = await client.post(HOUSE, json=house_request(id="x" * 600), headers=headers)
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.json()["id"] == "x" * 600
    small = house_request(outputs=[{"name": "mean"}])
    response = await client.post(HOUSE, json=small, headers=headers)
    assert "content-encoding" not in response.headers
