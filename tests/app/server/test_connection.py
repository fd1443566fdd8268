"""What is a request and what is none, read as h11 reads it, and answered in turn."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import h11
import pytest
import uvicorn
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from app.errors import ErrorBody
from app.server.connection import MOST_HEAD_BYTES, protocol

HOST = b"host: x"
BODY = b'{"rows": [[1]]}'
LENGTH = b"content-length: %d" % len(BODY)
CHUNKED = b"transfer-encoding: chunked"
CHUNKS = b"1\r\na\r\n0\r\n\r\n"
ARRIVAL_SECONDS = 5.0


def post(*fields: bytes, path: bytes = b"/predict", body: bytes = BODY) -> bytes:
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n%b" % (path, b"\r\n".join(fields), body)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was told, in two parts."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    told = {**scope, "body": body, "client": None, "state": None}
    content = json.dumps(told, default=bytes.decode, sort_keys=True).encode()
    # The next request comes during this one, and would be answered sooner.
    await asyncio.sleep({"/prefix/1": 0.03, "/prefix/long": 2.5}.get(scope["path"], 0.01))
    headers = [(b"content-length", b"%d" % len(content)), (b"x-a", b"b")]
    if scope["path"] == "/prefix/last":
        headers += [(b"connection", b"close")]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content[:9], "more_body": True})
    await send({"type": "http.response.body", "body": content[9:]})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server's whose application is `echo`, behind a prefix."""
    config = uvicorn.Config(echo, root_path="/prefix", log_config=None, ws="none")
    state, made = ServerState(), protocol(ARRIVAL_SECONDS)
    state.default_headers = [(b"date", b"today")]
    server = await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={"a": 1}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*state.tasks)


async def answered(
    port: int, *pieces: bytes, count: int = 1, half_closed: bool = False
) -> list[bytes]:
    """The answers to what is sent piece by piece; less of them where the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.002)
    if half_closed:
        writer.write_eof()
    answers: list[bytes] = []
    try:
        while len(answers) < count:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ARRIVAL_SECONDS - 1)
            if head.startswith(b"HTTP/1.1 100 "):
                continue
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answers.append(head + await reader.readexactly(length))
    except (asyncio.IncompleteReadError, TimeoutError):
        pass  # closed, or silent
    finally:
        writer.close()
    return answers


def told(answer: bytes) -> Scope:
    """What the application was told, where it has answered."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    scope: Scope = json.loads(body)
    return scope


REFUSED = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": post(HOST, HOST, LENGTH),
    "a version of the future": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "no version": b"GET /v2\r\n\r\n",
    "two lengths": post(HOST, LENGTH, LENGTH),
    "a list of lengths": post(HOST, b"content-length: 1, 1", body=b"a"),
    "a length with a sign": post(HOST, b"content-length: +%d" % len(BODY)),
    "two framings": post(HOST, LENGTH, CHUNKED, body=CHUNKS),
    "a coding beside chunked": post(HOST, b"transfer-encoding: gzip, chunked", body=CHUNKS),
    "two codings": post(HOST, b"transfer-encoding: gzip", CHUNKED, body=CHUNKS),
    "a coding in HTTP/1.0": post(HOST, CHUNKED, body=CHUNKS).replace(b"/1.1", b"/1.0"),
    "space before a colon": post(HOST, LENGTH, b"a : b"),
    "a folded line": post(HOST, LENGTH, b"a: b", b" c"),
    "a bare line feed": post(HOST, LENGTH, b"a: b\nc: d"),
    "line feeds only": post(HOST, LENGTH).replace(b"\r\n", b"\n"),
    "a bare carriage return": post(HOST, LENGTH, b"a: b\rc"),
    "a NUL": post(HOST, LENGTH, b"a: \0"),
    "a control character": post(HOST, LENGTH, b"a: \x0b"),
    "no name": post(HOST, LENGTH, b": b"),
    "a space after a chunk's size": post(HOST, CHUNKED, body=b"1 \r\na\r\n0\r\n\r\n"),
    "a chunk that ends early": post(HOST, CHUNKED, body=b"2\r\na\r\n0\r\n\r\n"),
    "a length among the trailers": post(HOST, CHUNKED, body=b"0\r\nContent-Length: 5\r\n\r\n"),
    "more tiny chunks than anybody sends": post(HOST, CHUNKED, body=b"1\r\na\r\n" * 1_100),
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target of no ASCII": post(HOST, LENGTH, path=b"/\xff"),
    "a head without end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000,
    "a head too large": post(HOST, LENGTH, b"x: " + b"a" * MOST_HEAD_BYTES),
}


@pytest.mark.anyio
@pytest.mark.parametrize("sent", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "in pieces"])
async def test_what_is_no_request_is_refused_once_and_the_connection_ends(
    port: int, sent: bytes, cut: bool
) -> None:
    middle = len(sent) // 2
    pieces = (sent[:middle], sent[middle:]) if cut else (sent,)
    (refused,) = await answered(port, *pieces, count=2)
    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close" in head
    assert ErrorBody.model_validate_json(body).code == "not_http"


@pytest.mark.anyio
async def test_a_body_may_come_in_many_chunks_that_are_not_tiny(port: int) -> None:
    chunk = b"20\r\n" + b"a" * 32 + b"\r\n"
    (answer,) = await answered(port, post(HOST, CHUNKED, body=chunk * 2_000 + b"0\r\n\r\n"))
    assert len(told(answer)["body"]) == 64_000


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://x/predict", "/prefix/predict", ""),
        (b"HTTP://user@x:1/predict?a=b", "/prefix/predict", "a=b"),
        (b"https://[::1]:80/a%20b", "/prefix/a b", ""),
        (b"http://x", "/prefix/", ""),
        (b"http://x?a", "/prefix/", "a"),
    ],
)
async def test_a_target_may_have_its_server_before_it(
    port: int, target: bytes, path: str, query: str
) -> None:
    (answer,) = await answered(port, post(HOST, LENGTH, path=target))
    found = told(answer)
    assert (found["path"], found["query_string"], found["body"]) == (path, query, BODY.decode())


@pytest.mark.anyio
async def test_empty_lines_before_a_request_are_ignored(port: int) -> None:
    sent = post(HOST, LENGTH)
    answers = await answered(port, b"\r\n" + sent, b"\r\n", sent, count=2)
    assert [told(each)["body"] for each in answers] == [BODY.decode()] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("path", [b"/", b"/long"])
async def test_a_client_that_closes_its_side_after_a_request_gets_the_answer(
    port: int, path: bytes
) -> None:
    first, second = post(HOST, LENGTH, path=b"/1"), post(HOST, LENGTH, path=path)
    answers = await answered(port, first, second, count=3, half_closed=True)
    assert [told(each)["path"] for each in answers] == ["/prefix/1", f"/prefix{path.decode()}"]


@pytest.mark.anyio
async def test_a_client_that_closes_its_side_within_a_request_gets_none(port: int) -> None:
    assert await answered(port, post(HOST, LENGTH)[:-1], half_closed=True) == []


@pytest.mark.anyio
@pytest.mark.parametrize("framing", [(LENGTH, BODY), (CHUNKED, CHUNKS)])
async def test_a_request_that_offers_another_protocol_is_answered_in_this_one(
    port: int, framing: tuple[bytes, bytes]
) -> None:
    field, body = framing
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    sent = post(HOST, *offer, field, body=body)
    for pieces in ([sent, sent], [sent + sent], [sent[:30], sent[30:-3], sent[-3:] + sent]):
        answers = await answered(port, *pieces, count=2)
        read = BODY if field is LENGTH else b"a"
        assert [told(each)["body"] for each in answers] == [read.decode()] * 2


@pytest.mark.anyio
async def test_trailers_are_no_headers(port: int) -> None:
    sent = post(HOST, CHUNKED, body=b"1\r\na\r\n0\r\nX-API-Key: stolen\r\n\r\n", path=b"/1")
    for answer in await answered(port, sent, sent, count=2):
        assert b"stolen" not in answer
        assert told(answer)["body"] == "a"


@pytest.mark.anyio
async def test_requests_that_come_during_another_are_answered_in_turn(port: int) -> None:
    paths = [b"/1", b"/2", b"/3", b"/4"]
    sent = [post(HOST, LENGTH, path=path) for path in paths]
    for pieces in (sent, [sent[0], b"".join(sent[1:])], [b"".join(sent[:2]), *sent[2:]]):
        answers = await answered(port, *pieces, count=4)
        assert [told(each)["path"] for each in answers] == [
            f"/prefix{path.decode()}" for path in paths
        ]


@pytest.mark.anyio
@pytest.mark.parametrize("broken", [b"\0\r\n\r\n", post(HOST, CHUNKED, body=b"zz\r\n")])
async def test_damage_behind_requests_is_refused_after_their_answers(
    port: int, broken: bytes
) -> None:
    good = [post(HOST, LENGTH, path=path) for path in (b"/1", b"/2")]
    *answers, refused = await answered(port, b"".join([*good, broken]), count=4)
    assert [told(each)["path"] for each in answers] == ["/prefix/1", "/prefix/2"]
    assert refused.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.anyio
async def test_a_head_may_begin_in_the_same_piece_as_a_large_body_ends(port: int) -> None:
    body = b"b" * 2 * MOST_HEAD_BYTES
    large = post(HOST, b"content-length: %d" % len(body), path=b"/1", body=body)
    next_ = post(HOST, LENGTH)
    pieces = (large + next_[:20], next_[20:30], next_[30:])
    first, second = await answered(port, *pieces, count=2)
    assert (len(told(first)["body"]), told(second)["body"]) == (len(body), BODY.decode())


@pytest.mark.anyio
async def test_what_looks_like_a_request_inside_of_another_is_part_of_that(port: int) -> None:
    inner = post(HOST, LENGTH, path=b"/inner")
    outer = post(HOST, b"content-length: %d" % len(inner), path=b"/outer", body=b"")
    (answer,) = await answered(port, outer, inner)
    assert (told(answer)["path"], told(answer)["body"]) == ("/prefix/outer", inner.decode())


@pytest.mark.anyio
async def test_a_connection_is_closed_with_the_answer_that_says_so(port: int) -> None:
    last, more = post(HOST, LENGTH, path=b"/last"), post(HOST, LENGTH)
    assert len(await answered(port, last, more, count=2)) == 1
    assert len(await answered(port, more, last, more, count=3)) == 2


Request = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]
GOOD = (HOST, LENGTH, b"a: b", b"A-b:c  d", b"connection: keep-alive", b"content-length: 3")
ODD = (b"te: x", b"a:", b": a", b"a b: c", b" a: b", b"a: \x0b", b"x: \t", b"a: b ", b"", b"a:\xff")
FRAMINGS = (CHUNKED, b"transfer-encoding: Chunked ", b"transfer-encoding: identity", b"host:  y")
MESSAGES = st.builds(
    lambda fields, path, body, tail: post(*fields, path=path, body=body) + tail,
    st.lists(st.sampled_from([*GOOD, *ODD, *FRAMINGS]), min_size=1, max_size=5),
    st.sampled_from([b"/", b"/predict", b"//", b"/a/../b", b"/a b", b"/a;b?c=d", b"", b"/a#b"]),
    st.sampled_from([BODY, BODY[:-1], b"", b"abc", CHUNKS, b"1;a=b\r\na\r\n00\r\nt: u\r\n\r\n"]),
    st.sampled_from([b"", b"\r\n", b"P", post(HOST, LENGTH)]),
)


def read_by_h11(sent: bytes) -> Iterator[Request]:
    """The whole requests that h11 finds."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(sent)
    try:
        while isinstance(request := connection.next_event(), h11.Request):
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return
            headers = [(name, value.lower()) for name, value in request.headers]
            yield request.method, request.target, headers, body
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
    except h11.ProtocolError:
        return


class Wire(asyncio.Transport):
    """A network to nowhere."""

    closing = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def write_eof(self) -> None:
        self.closing = True  # nobody is there who would close the other side

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def read_by_us(sent: bytes) -> list[Request]:
    """The whole requests that the application gets."""
    found: list[Request] = []

    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"]:
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            target, method = scope["raw_path"] + query, scope["method"].encode()
            headers = [(name, value.strip().lower()) for name, value in scope["headers"]]
            found.append((method, target, headers, bytes(message["body"])))
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(keep, log_config=None, ws="none")
    connection = protocol(60)(config=config, server_state=ServerState(), app_state={})  # type: ignore[call-arg]
    connection.connection_made(Wire())
    connection.data_received(sent)
    for _ in range(8):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    return found


@settings(deadline=None, max_examples=1000)
@given(MESSAGES)
@example(post(HOST, LENGTH))
@example(post(HOST, b"content-length: 0", body=b""))
@example(post(HOST, CHUNKED, body=CHUNKS) + post(HOST, LENGTH))
def test_the_application_gets_what_h11_reads(sent: bytes) -> None:
    found, expected = asyncio.run(read_by_us(sent)), [*read_by_h11(sent)]
    without = [(method, target.partition(b"#")[0], *rest) for method, target, *rest in expected]
    assert found == without[: len(found)]


def test_ordinary_requests_reach_the_application() -> None:
    sent = post(HOST, LENGTH) + post(HOST, CHUNKED, body=CHUNKS, path=b"/a?b=c")
    found = asyncio.run(read_by_us(sent))
    assert len(found) == 2
    assert found == [*read_by_h11(sent)]
