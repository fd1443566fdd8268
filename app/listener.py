"""The listening socket: on an address of the network, or on a path of this machine."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.settings import Settings, SettingsError

BACKLOG = 2048  # connections that may wait while the models load
EVERY_USER = 0o666  # who may enter the folder of a path may connect, as to a port of this machine


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
