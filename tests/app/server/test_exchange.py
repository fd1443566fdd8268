"""Requests that are read in one look: h11 would have read the same, and nobody can tell."""

import asyncio
import json
from collections.abc import AsyncIterator

import h11
import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from app.server.connection import protocol
from app.server.exchange import Post, read

HOST = b"host: x"
BODY = b'{"rows": [[1]]}'
LENGTH = b"content-length: %d" % len(BODY)


def post(*fields: bytes, path: bytes = b"/predict", body: bytes = BODY) -> bytes:
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n%b" % (path, b"\r\n".join(fields), body)


def test_an_ordinary_request_is_read() -> None:
    sent = (b"Host: a.b:80", b"User-Agent: me/1.0 (you; me)", b"Connection: keep-alive")
    assert read(post(*sent, b"Content-Length:%d" % len(BODY), path=b"/models/a-b_c.9/x")) == Post(
        b"/models/a-b_c.9/x",
        [
            (b"host", b"a.b:80"),
            (b"user-agent", b"me/1.0 (you; me)"),
            (b"connection", b"keep-alive"),
            (b"content-length", b"%d" % len(BODY)),
        ],
        BODY,
    )


@pytest.mark.parametrize(
    "sent",
    [
        post(HOST, LENGTH).replace(b"POST", b"GET"),
        post(HOST, LENGTH).replace(b"POST", b"post"),
        post(HOST, LENGTH).replace(b"/1.1", b"/1.0"),
        post(HOST, LENGTH).replace(b"\r\n", b"\n"),
        b"\r\n" + post(HOST, LENGTH),
        post(HOST, LENGTH, path=b"/predict?a=b"),
        post(HOST, LENGTH, path=b"/pre%64ict"),
        post(HOST, LENGTH, path=b"http://x/predict"),
        post(HOST, LENGTH, path=b"/\xff"),
        post(HOST, LENGTH)[:-1],
        post(HOST, LENGTH)[:30],
        post(HOST, LENGTH) + b"P",
        post(LENGTH),
        post(HOST),
        post(HOST, HOST, LENGTH),
        post(HOST, LENGTH, LENGTH),
        post(HOST, LENGTH, b"Content-Length: 3"),
        post(HOST, b"content-length: +%d" % len(BODY)),
        post(HOST, b"content-length: %d, %d" % (len(BODY), len(BODY))),
        post(HOST, b"content-length: " + b"0" * 5000 + b"%d" % len(BODY)),
        post(HOST, LENGTH, b"transfer-encoding: chunked"),
        post(HOST, LENGTH, b"expect: 100-continue"),
        post(HOST, LENGTH, b"connection: close"),
        post(HOST, LENGTH, b"connection: upgrade", b"upgrade: websocket"),
        post(HOST, LENGTH, b"a : b"),
        post(HOST, LENGTH, b"a: b", b" c"),
        post(HOST, LENGTH, b"a: b\rc"),
        post(HOST, LENGTH, b"a: b\nc: d"),
        post(HOST, LENGTH, b"a: \x00"),
        post(HOST, LENGTH, b"a: \xe4"),
        b"",
    ],
    ids=lambda sent: repr(sent[:60]),
)
def test_everything_else_is_left_to_h11(sent: bytes) -> None:
    assert read(sent) is None


GOOD = (HOST, LENGTH, b"a: b", b"A-b:c  d", b"connection: keep-alive", b"content-length: 3")
ODD = (b"te: x", b"a:", b": a", b"a b: c", b" a: b", b"a: \x0b", b"x: \t", b"a: b ", b"")
PIECES = st.sampled_from([*GOOD, *ODD, b"transfer-encoding: chunked"])
MESSAGES = st.builds(
    lambda fields, path, body, tail: post(*fields, path=path, body=body) + tail,
    st.lists(PIECES, min_size=1, max_size=5),
    st.sampled_from([b"/", b"/predict", b"//", b"/a/../b", b"*", b"/a b", b"/a;b", b""]),
    st.sampled_from([BODY, BODY[:-1], b"", b"abc"]),
    st.sampled_from([b"", b"\r\n", b"P"]),
)


@given(MESSAGES)
@example(post(HOST, LENGTH))
@example(post(HOST, b"content-length: 0", body=b""))
def test_what_is_read_is_what_h11_reads(sent: bytes) -> None:
    found = read(sent)
    if found is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(sent)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"POST", found.path)
    assert list(request.headers) == found.headers
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert body == found.body
    assert connection.trailing_data == (b"", False)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was told, in two parts."""
    told = {**scope, "message": await receive(), "client": None}
    content = json.dumps(told, default=repr, sort_keys=True).encode()
    # The next request comes during this one, and would be answered sooner.
    await asyncio.sleep(0.03 if scope["path"] == "/prefix/1" else 0.01)
    headers = [(b"content-length", b"%d" % len(content)), (b"x-a", b"b")]
    match scope["path"]:
        case "/prefix/unsized":
            headers = []
        case "/prefix/last":
            headers += [(b"connection", b"close")]
    start: Message = {"type": "http.response.start", "status": 422, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content[:9], "more_body": True})
    await send({"type": "http.response.body", "body": content[9:]})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server's whose application is `echo`, behind a prefix."""
    config = uvicorn.Config(echo, root_path="/prefix", log_config=None, ws="none")
    state, made = ServerState(), protocol(5.0)
    state.default_headers = [(b"date", b"today")]
    server = await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={"a": 1}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*state.tasks)


async def answered(port: int, *pieces: bytes, count: int = 1) -> list[bytes]:
    """The answers to what is sent piece by piece; less of them where the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.002)
    answers = []
    try:
        for _ in range(count):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answers.append(head + await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        pass  # closed
    finally:
        writer.close()
    return answers


@pytest.mark.anyio
@pytest.mark.parametrize("path", [b"/", b"/a/b.c", b"/last"])
async def test_nobody_can_tell_which_way_a_request_went(port: int, path: bytes) -> None:
    sent = post(HOST, b"A-B: c", LENGTH, path=path)
    (ours,) = await answered(port, sent)
    (h11s,) = await answered(port, sent[:50], sent[50:])
    assert ours == h11s
    assert b'"body": "b' in ours
    assert ours.startswith(b"HTTP/1.1 422 Unprocessable")


@pytest.mark.anyio
async def test_requests_that_come_during_another_are_answered_in_turn(port: int) -> None:
    paths = [b"/1", b"/2", b"/3", b"/4"]
    sent = [post(HOST, LENGTH, path=path) for path in paths]
    for pieces in (sent, [sent[0], b"".join(sent[1:])], [b"".join(sent[:2]), *sent[2:]]):
        answers = await answered(port, *pieces, count=4)
        assert [json.loads(each.partition(b"\r\n\r\n")[2])["path"] for each in answers] == [
            f"/prefix{path.decode()}" for path in paths
        ]


@pytest.mark.anyio
async def test_what_looks_like_a_request_inside_of_another_is_part_of_that(port: int) -> None:
    inner = post(HOST, LENGTH, path=b"/inner")
    outer = post(HOST, b"content-length: %d" % len(inner), path=b"/outer", body=b"")
    (body,) = await answered(port, outer, inner)
    assert b'"path": "/prefix/outer"' in body
    (header,) = await answered(port, outer[:-2] + b"a: ", inner)
    assert header.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.anyio
async def test_a_connection_is_closed_with_the_answer_that_says_so(port: int) -> None:
    last, more = post(HOST, LENGTH, path=b"/last"), post(HOST, LENGTH)
    assert len(await answered(port, last, more, count=2)) == 1
    assert len(await answered(port, more, last, more, count=3)) == 2


@pytest.mark.anyio
async def test_an_answer_without_a_length_gets_one(port: int) -> None:
    (found,) = await answered(port, post(HOST, LENGTH, path=b"/unsized"))
    assert json.loads(found.partition(b"\r\n\r\n")[2])["path"] == "/prefix/unsized"
