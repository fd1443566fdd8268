"""A process that imports what every server process needs, and forks one whenever it is asked.

A fork begins at once, and the modules of all forks take memory once. The supervisor lives as long
as its servers and imports none of them. The template has no threads, and has computed nothing, so
it may be forked at any time. Nothing here has a name in a file system, which could be cleaned away:
that rules out `multiprocessing.forkserver`.
"""

import gc
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Concatenate

from app.settings import Settings
from app.shared_metrics import SharedMemory

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANSWER_SECONDS = 60.0  # for imports from a slow disk; then the template is taken for dead

Main = Callable[Concatenate[Settings, socket.socket, SharedMemory | None, Connection, ...], None]
"""What a fork runs. The connection is its end of a pipe; nothing but its end closes that end."""


class Template:
    """The template of the server processes for some settings, a listener and shared metrics.

    Its process starts with the first fork, and again with the next one if it has ended. Its forks
    outlive it. Once the process that asked for them has ended, nobody is left at their pipes.
    """

    def __init__(
        self, settings: Settings, listener: socket.socket, memory: SharedMemory | None
    ) -> None:
        self._shared = settings, listener, memory
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def fork(self, main: Main, *arguments: Any) -> tuple[int, Connection]:
        """The id of a new process that runs `main`, and our end of its pipe; raises OSError.

        A terminal or a service manager sends a signal to all processes. The new one gets it once it
        has called `let_signals_in`: before that, it could be lost, or raise KeyboardInterrupt
        anywhere in an import. The template itself never gets one.
        """
        ours, theirs = Pipe()
        with theirs:
            try:
                found = self._ask((main, arguments), theirs.fileno())
            except OSError:
                ours.close()
                raise
        return found, ours

    def exit_code(self, number: int) -> int | None:
        """How the process with that id has ended; None if the template that forked it has, too."""
        try:
            return self._ask(number)
        except OSError:
            return None

    def close(self) -> None:
        """End the template; its forks go on."""
        if self._pipe and self._process:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _ask(self, what: Any, handle: int | None = None) -> int:
        if self._pipe is None:
            self._start()
        assert self._pipe
        try:
            self._pipe.send(what)
            if handle is not None:
                send_handle(self._pipe, handle, None)
            if not self._pipe.poll(ANSWER_SECONDS):
                raise EOFError
            answer: int | OSError = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise OSError("the template of the server processes has ended") from error
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            process = multiprocessing.get_context("spawn").Process(
                target=_template, args=(*self._shared, theirs), name="mcd-template", daemon=True
            )
            resource_tracker.ensure_running()  # starts with the first process, and unblocks SIGINT
            with _signals_blocked():  # the template inherits it, and its forks
                process.start()
        self._process, self._pipe = process, ours


def let_signals_in() -> None:
    """Get each signal, also one that has come before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _template(
    settings: Settings, listener: socket.socket, memory: SharedMemory | None, asked: Connection
) -> None:
    """The main function of the template, and of its forks."""
    import app.greeting
    import app.server.process
    import app.service  # noqa: F401

    # A search for garbage would write to every object, and so copy the memory that forks share.
    gc.collect()
    gc.freeze()
    fork = _asked_fork(asked)
    asked.close()
    if fork:
        main, arguments, pipe = fork
        main(settings, listener, memory, pipe, *arguments)


def _asked_fork(asked: Connection) -> tuple[Main, tuple[Any, ...], Connection] | None:
    """What a fork is to run: returns in forks, and in the template (None) once nobody asks."""
    while True:
        try:
            what = asked.recv()
            pipe = None if isinstance(what, int) else Connection(recv_handle(asked))
        except (EOFError, OSError):  # the supervisor has ended
            return None
        answer: int | OSError
        try:
            if pipe is None:
                answer = os.waitstatus_to_exitcode(os.waitpid(what, 0)[1])
            elif not (answer := os.fork()):
                return (*what, pipe)
        except OSError as error:
            answer = error
        if pipe:
            pipe.close()
        asked.send(answer)
