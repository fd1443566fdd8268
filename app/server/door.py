"""The door: who takes a connection, and when the listener admits no further one.

A listener that several processes share closes when the last of them closes it. So none of them may
let nobody in while another still serves, and the last must accept what waits. The supervisor knows
when all are ready for that: its server processes ask it.

Which of the processes accepts a connection is chance, and clients that keep their connections stay
where chance has put them. So each process lets another one go first that has fewer connections.
"""

import socket
from multiprocessing.connection import Connection
from time import monotonic
from typing import Protocol

from app.listener import HANDSHAKE_SECONDS, admit_no_more
from app.shared_metrics import TAKES_NONE, SharedMemory

LAST_SECONDS = 1.0  # the end of the drain time, in which waiting requests are refused
ASKS = b"may I close the listener?"
MAY = b"yes"


def answering_seconds(drain_seconds: float) -> float:
    """The part of the drain time in which requests are answered; the rest is for refusals."""
    return max(drain_seconds - LAST_SECONDS, drain_seconds / 2)


class Door(Protocol):
    """What a server process asks about its listener, and tells."""

    def beat(self) -> bool:
        """Tell that the event loop runs; return whether to go on. Called every second."""

    def yields(self, connections: int) -> bool:
        """Whether another process, which has fewer connections, should take the next one."""

    def takes_none(self) -> None:
        """Tell the other processes that this one should take no further connection."""

    def shut(self, listener: socket.socket) -> bool:
        """Whether no further connection can arrive. The server calls this until it is so."""


class OwnDoor:
    """The door of a server that has the listener for itself."""

    def __init__(self) -> None:
        self._shut_at: float | None = None

    def beat(self) -> bool:
        """Tell nobody."""
        return True

    def yields(self, connections: int) -> bool:  # noqa: ARG002
        """Never: there is no other."""
        return False

    def takes_none(self) -> None:
        """Tell nobody."""

    def shut(self, listener: socket.socket) -> bool:
        """Admit no more; return whether the handshakes that had begun are complete."""
        if self._shut_at is None:
            admit_no_more(listener)
            self._shut_at = monotonic()
        return monotonic() - self._shut_at >= HANDSHAKE_SECONDS


class SharedDoor:
    """The door of a process that shares the listener with others, under a supervisor.

    `memory`, if there is any, has the connections of all; this process is the one of that number.
    """

    def __init__(self, supervisor: Connection, memory: SharedMemory | None, number: int) -> None:
        self._supervisor = supervisor
        self._counts, self._number = memory.connections if memory else None, number
        self._asked = self._answered = self._takes_none = False
        self._alone: OwnDoor | None = None  # once the supervisor is gone, and the others end too

    def beat(self) -> bool:
        """Send a heartbeat; return whether the supervisor is there."""
        try:
            self._supervisor.send_bytes(b"")
        except BlockingIOError:  # it has not looked for an hour
            return True
        except OSError:
            return False
        return True

    def yields(self, connections: int) -> bool:
        """Whether another process has fewer connections, as far as it has told."""
        if self._counts is None:
            return False
        own = TAKES_NONE if self._takes_none else connections
        self._counts[self._number] = own
        return own > min(self._counts)

    def takes_none(self) -> None:
        """Let the others take every connection from now on, as long as there are others."""
        self._takes_none = True
        if self._counts is not None:
            self._counts[self._number] = TAKES_NONE

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
