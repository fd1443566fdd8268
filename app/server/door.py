"""The door: who decides when the listener admits no further connection.

A listener that several processes share closes when the last of them closes it. So none of them may
let nobody in while another still serves, and the last must accept what waits. The supervisor knows
when all are ready for that: its server processes ask it.
"""

import socket
from contextlib import suppress
from multiprocessing.connection import Connection
from time import monotonic
from typing import Protocol

from app.listener import HANDSHAKE_SECONDS, admit_no_more

LAST_SECONDS = 1.0  # the end of the drain time, in which waiting requests are refused
ASKS = b"may I close the listener?"
MAY = b"yes"


def answering_seconds(drain_seconds: float) -> float:
    """The part of the drain time in which requests are answered; the rest is for refusals."""
    return max(drain_seconds - LAST_SECONDS, drain_seconds / 2)


class Door(Protocol):
    """What a server process asks when it stops."""

    def beat(self) -> None:
        """Tell that the event loop runs. The server calls this every second."""

    def shut(self, listener: socket.socket) -> bool:
        """Whether no further connection can arrive. The server calls this until it is so."""


class OwnDoor:
    """The door of a server that has the listener for itself."""

    def __init__(self) -> None:
        self._shut_at: float | None = None

    def beat(self) -> None:
        """Tell nobody."""

    def shut(self, listener: socket.socket) -> bool:
        """Admit no more; return whether the handshakes that had begun are complete."""
        if self._shut_at is None:
            admit_no_more(listener)
            self._shut_at = monotonic()
        return monotonic() - self._shut_at >= HANDSHAKE_SECONDS


class SharedDoor:
    """The door of a process that shares the listener with others, under a supervisor."""

    def __init__(self, supervisor: Connection) -> None:
        self._supervisor = supervisor
        self._asked = self._answered = False
        self._alone: OwnDoor | None = None  # once the supervisor is gone, and the others end too

    def beat(self) -> None:
        """Send a heartbeat."""
        with suppress(OSError):  # the supervisor is gone, or has not looked for an hour
            self._supervisor.send_bytes(b"")

    def shut(self, listener: socket.socket) -> bool:
        """Ask the supervisor; return whether it has answered."""
        if self._alone:
            return self._alone.shut(listener)
        try:
            if not self._asked:
                self._supervisor.send_bytes(ASKS)
                self._asked = True
            if not self._answered and self._supervisor.poll():
                self._supervisor.recv_bytes()
                self._answered = True
        except BlockingIOError:  # the supervisor has not looked for an hour
            return False
        except (OSError, EOFError):
            self._alone = OwnDoor()
        return self._answered
