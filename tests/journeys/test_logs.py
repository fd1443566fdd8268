"""What a server logs of the requests that it refuses: an id, and nothing that they held."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.errors import error_rows
from tests.journeys.serving import ROW, Served, served, until

SECRET = "swordfish"
KEY = "k" * 20
INFER = "/v2/models/regression/infer"
LONG = {"rows": [ROW] * 900, "passes": 10_000, "masks": "per_row"}
NOT_ASKED = {"overloaded", "not_ready"}  # take load, or a stop
OF_PATHS = {"not_found", "method_not_allowed"}


@pytest.fixture(scope="module")
def server(regression_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that logs all it can, and keeps everybody out that has no key."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "keys").write_text(f"{KEY} alice\n{'l' * 20} bob\n")
    settings = {
        "MCD_API_KEYS_FILE": str(folder / "keys"),
        "MCD_LOG_LEVEL": "debug",
        "MCD_ACCESS_LOG": "true",
        "MCD_MAX_BODY_BYTES": "100000",
        "MCD_RATE_LIMIT": "50",  # more than alice asks, and less than bob can ask in a second
        "MCD_CORS_ORIGINS": "https://example.org",
        "MCD_REQUEST_TIMEOUT_SECONDS": "2",
    }
    with served(folder, "--model", regression_artifact, **settings) as server:
        yield server


def bodies() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of requests that are wrong, each in its own way and with a secret."""
    secret_row = json.dumps({**ROW, "quarter": SECRET})
    for body in (
        SECRET,
        f'{{"rows": ["{SECRET}", NaN]}}',
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        f'{{"rows": [], "{SECRET}": 1}}',
        f'{{"rows": [{secret_row}]}}',
        f'{{"rows": [{json.dumps({**ROW, SECRET: SECRET})}]}}',
        f'{{"rows": "{SECRET}", "passes": "{SECRET}"}}',
        json.dumps({"rows": [ROW], "passes": 10**6}),
        json.dumps({"rows": [ROW], "coverage": 0.999999}),
        SECRET * 20_000,
        "[" * 90_000 + SECRET,
    ):
        yield "/predict", body.encode(), {}
        yield INFER, body.encode(), {}
    tensor = {"name": SECRET, "shape": [1], "datatype": "BYTES", "data": [SECRET]}
    yield INFER, json.dumps({"id": SECRET, "inputs": [tensor]}).encode(), {}
    yield "/predict", SECRET.encode(), {"content-type": f"text/{SECRET}"}
    yield "/predict", SECRET.encode(), {"content-encoding": SECRET}
    yield "/predict", gzip.compress(SECRET.encode())[:-3], {"content-encoding": "gzip"}
    yield "/predict", json.dumps(LONG).encode(), {"x-request-timeout-seconds": "0.01"}
    yield "/predict", b"{}", {"x-request-timeout-seconds": SECRET}
    yield "/predict", b"{}", {"x-api-key": SECRET * 3}
    yield f"/predict?{SECRET}={SECRET}", b"{}", {}
    yield f"{INFER}?{SECRET}={SECRET}", b"{}", {}
    yield f"/v2?q={SECRET}", b"{}", {}
    yield "/nowhere", b"{}", {}
    yield "/models/nobody/predict", b"{}", {}


def torn(server: Served, sent: bytes) -> bytes:
    """The first words of the server to what is not a whole request."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(sent)
        return connection.recv(1 << 16)


def test_no_error_of_any_kind_lets_a_requests_content_into_the_log(server: Served) -> None:
    codes, ids = set(), set()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number, (path, body, headers) in enumerate(bodies()):
            sent = {"x-api-key": KEY, "x-request-id": f"id-{number}", "cookie": SECRET, **headers}
            response = client.post(path, content=body, headers=sent)
            codes.add(response.json().get("code"))
            ids.add(response.headers["x-request-id"])
        asked = {"x-api-key": KEY, "cookie": SECRET}
        codes.add(client.get("/models/regression/landscape", headers=asked).json()["code"])
        page = {"origin": f"https://{SECRET}.org", "access-control-request-method": SECRET}
        codes.add(client.options("/predict", headers=page).json()["code"])
        bob = {"x-api-key": "l" * 20}
        while client.get("/models", headers=bob).status_code != 429:
            pass
    torn(server, f"GET /{SECRET} {SECRET}\r\n\r\n".encode())
    torn(
        server, f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{SECRET}".encode()
    )
    codes |= {"rate_limited", "not_http", "request_timeout"}
    assert codes >= {row.code for row in error_rows()} - NOT_ASKED - OF_PATHS
    until(lambda: ids <= {line.get("request_id") for line in server.lines()})
    assert not re.search(f"{SECRET}|{KEY}", server.log.read_text())


def test_every_request_has_a_line_of_json_with_what_it_takes_to_find_it(server: Served) -> None:
    headers = {"x-api-key": KEY, "x-request-id": "found"}
    httpx.get(f"{server.url}/models", headers=headers)
    until(lambda: any(line.get("request_id") == "found" for line in server.lines()))
    [line] = [line for line in server.lines() if line.get("request_id") == "found"]
    assert (
        line.items()
        >= {
            "level": "info",
            "logger": "app.access",
            "method": "GET",
            "path": "/models",
            "status": 200,
            "key": "alice",
        }.items()
    )
    assert line["milliseconds"] > 0
