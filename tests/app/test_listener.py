"""The last connections of a listener: none is admitted that nobody will accept."""

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.listener import admit_no_more, waiting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do it")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_who_was_connected_before_is_accepted_and_nobody_connects_after(
    family: socket.AddressFamily, host: str
) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, 0), family=family))
        listener.setblocking(False)
        before = [stack.enter_context(connected(listener)) for _ in range(3)]
        for client in before:
            client.sendall(b"a part, ")
        admit_no_more(listener)
        with pytest.raises(TimeoutError):
            connected(listener, seconds=0.3)
        accepted = [stack.enter_context(each) for each in waiting(listener)]
        address = listener.getsockname()[:2]
        listener.close()
        for client in before:
            client.sendall(b"and another")
        assert [each.recv(100) for each in accepted] == [b"a part, and another"] * 3
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=20)


def test_on_a_path_who_comes_later_is_refused_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as before,
        socket.socket(socket.AF_UNIX) as after,
    ):
        listener.bind(path)
        listener.listen(10)
        listener.setblocking(False)
        before.connect(path)
        admit_no_more(listener)
        with pytest.raises(ConnectionRefusedError):
            after.connect(path)
        (accepted,) = waiting(listener)
        with accepted:
            listener.close()
            before.sendall(b"still here")
            assert accepted.recv(100) == b"still here"


def connected(listener: socket.socket, seconds: float = 20) -> socket.socket:
    return socket.create_connection(listener.getsockname()[:2], timeout=seconds)
