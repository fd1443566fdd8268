import gzip
import zlib
from collections.abc import Iterable

import pytest
from starlette.types import Message, Scope

from app.http import Reply, compressed

pytestmark = pytest.mark.anyio
PIECES = [b"a" * 600, b"", b"b" * 70_000, b"c"]


async def sent(
    pieces: Iterable[bytes], version: str = "1.1"
) -> tuple[dict[bytes, bytes], list[Message]]:
    """The headers and the messages of the body of a reply with these pieces."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    scope: Scope = {"type": "http", "http_version": version}
    await Reply(pieces).send(scope, send)
    return dict(messages[0]["headers"]), messages[1:]


async def test_an_answer_of_one_piece_has_a_length() -> None:
    for pieces in ([b"{}"], iter([b"{}"])):
        headers, body = await sent(pieces)
        assert headers[b"content-length"] == b"2"
        assert [(each["body"], each["more_body"]) for each in body] == [(b"{}", False)]


async def test_an_answer_of_several_pieces_is_sent_piece_by_piece() -> None:
    made = []

    def pieces() -> Iterable[bytes]:
        for piece in PIECES:
            made.append(piece)
            yield piece

    headers, body = await sent(pieces())
    assert b"content-length" not in headers
    assert [each["body"] for each in body] == PIECES
    assert [each["more_body"] for each in body] == [True, True, True, False]
    assert made == PIECES


async def test_a_client_that_knows_no_chunks_gets_a_length() -> None:
    headers, body = await sent(iter(PIECES), version="1.0")
    assert [each["body"] for each in body] == [b"".join(PIECES)]
    assert headers[b"content-length"] == str(len(b"".join(PIECES))).encode()


@pytest.mark.parametrize(
    ("name", "read"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
def test_pieces_are_compressed_as_one_body(name: str, read: object) -> None:
    pieces, encoding = compressed(iter(PIECES), name)
    assert encoding == name
    assert read(b"".join(pieces)) == b"".join(PIECES)  # type: ignore[operator]


def test_little_is_not_compressed_however_many_pieces_it_has() -> None:
    pieces, encoding = compressed(iter([b"a", b"b"]), "gzip")
    assert (b"".join(pieces), encoding) == (b"ab", None)
