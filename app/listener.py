"""The listening socket: on an address of the network, or on a path of this machine.

When a listener closes, the system resets every connection that waits to be accepted, and every one
whose handshake is not complete. No loop of accepts before the close is enough: a connection can
arrive after the last accept. So `admit_no_more` comes first, then HANDSHAKE_SECONDS, in which the
handshakes that have begun complete, then the last accepts (`waiting`), then the close.
"""

import ctypes
import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.settings import Settings, SettingsError

BACKLOG = 2048  # connections that may wait while the models load
HANDSHAKE_SECONDS = 0.2  # a handshake that has begun is complete, over any usual distance
EVERY_USER = 0o666  # who may enter the folder of a path may connect, as to a port of this machine

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux, for which Python has no name
# A program of the classic Berkeley packet filter: (operation, jump if true, jump if false, value).
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load byte 13 of the TCP header, its flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # drop it;
    (0x06, 0, 0, 0xFFFFFFFF),  # pass everything else
)


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A listening socket: requests that arrive early wait until the models are loaded.

    The end removes the path of a Unix socket. Raises SettingsError.
    """
    path = settings.uds
    where = str(path) if path else f"{settings.host} port {settings.port}"
    try:
        listener = _on_path(path) if path else _on_address(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {where}: {reason}") from error
    made = path.lstat().st_ino if path else None
    try:
        yield listener
    finally:
        listener.close()
        with suppress(OSError):
            if path and path.lstat().st_ino == made:  # not that of another server by now
                path.unlink()


def admit_no_more(listener: socket.socket) -> None:
    """Let the system admit no further connection, in all processes that share the listener.

    Those that wait can still be accepted. The system refuses a new one on a path. It ignores a new
    one of the network: the client repeats it after a second, and is refused if the listener is
    closed by then. Only Linux can do this; elsewhere the call does nothing.
    """
    with suppress(OSError):
        if sys.platform != "linux":
            return
        if listener.family == socket.AF_UNIX:
            listener.shutdown(socket.SHUT_RD)
            return
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *s) for s in _DROP_SYN))
        described = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)


def waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the connections that wait at the listener, which does not block."""
    while True:
        try:
            yield listener.accept()[0]
        except BlockingIOError:
            return
        except OSError as error:  # mostly of the connection: its client has left
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                return


def _on_address(host: str, port: int) -> socket.socket:
    listener = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )
    # asyncio sets this option only for sockets that it opens itself. Without the option, an answer
    # waits 40 ms until the client acknowledges its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _on_path(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(EVERY_USER)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that was killed; raises OSError for anything else there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # more connections wait there than may wait
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
