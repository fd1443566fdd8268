"""Start, watch, replace and stop several server processes that share one listener.

uvicorn's Multiprocess does not do what these processes need. It makes plain uvicorn servers, which
stop in another way than ours. At SIGHUP it replaces processes instead of passing the signal on. It
waits without a limit for a process that does not end. It does not report that a process has died,
so the metrics would still count that process.

The processes are forks of a template (app/server/template.py). Whether one still runs, its pipe
tells: the template, which knows it too, may end before them.

Every process sends a heartbeat from its event loop. A process whose event loop stands still keeps
its connections and answers none of them, so the supervisor kills it and starts another.

At a stop, each process says when it has answered its requests, and goes on to refuse new ones. Once
all have said so, the supervisor lets the system admit no further connection, and tells them to
accept what waits and to close the listener (app/server/door.py).
"""

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from time import monotonic, sleep
from types import FrameType

from uvicorn.config import STARTUP_FAILURE

from app.listener import HANDSHAKE_SECONDS, admit_no_more
from app.logs import configure
from app.server.door import ASKS, MAY, SharedDoor, answering_seconds
from app.server.template import Template
from app.settings import Settings, SettingsError
from app.shared_metrics import TAKES_NONE, SharedMemory

CHECK_SECONDS = 0.2
CALM_SECONDS = 5.0  # a process that ends sooner is replaced after a pause
PAUSE_SECONDS = 1.0
ASLEEP_SECONDS = 5.0  # the supervisor itself was stopped, if it has not looked for so long
KILL_SECONDS = 5.0  # after the drain time; then the supervisor kills the process

_logger = logging.getLogger("app")


@dataclass(slots=True)
class _Child:
    process: int  # its id
    pipe: Connection  # brings heartbeats, and the question whether to close the listener
    number: int  # of its slot in the memory of the metrics
    began: float = field(default_factory=monotonic)
    heard: float | None = None  # time of the last heartbeat
    asks: bool = False  # whether it has no request left, and asks to close the listener
    ended: bool = False

    def listen(self) -> None:
        """Take the messages that have come; nothing but the end of the process ends the pipe."""
        try:
            while not self.ended and self.pipe.poll():
                self.asks = self.pipe.recv_bytes() == ASKS or self.asks
                self.heard = monotonic()
        except (OSError, EOFError):
            self.ended = True

    def await_end(self, seconds: float) -> bool:
        """Whether the process ends within so many seconds."""
        deadline = monotonic() + seconds
        while not self.ended and wait([self.pipe], max(0.0, deadline - monotonic())):
            self.listen()
        return self.ended

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.process, number)

    def kill(self) -> None:
        """End the process, and wait until it has ended."""
        self.send(signal.SIGKILL)
        self.await_end(KILL_SECONDS)

    def dismiss(self) -> None:
        """Let the process close the listener."""
        with suppress(OSError):
            self.pipe.send_bytes(MAY)


class Supervisor:
    """Runs `settings.workers` server processes; `close` ends what it needs for that."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        configure(settings)
        self._settings = settings
        self._listener = listener
        self._children: list[_Child] = []
        self._not_before = 0.0
        self._looked = monotonic()
        self._metrics = _metrics_memory(settings.workers)
        self._template = Template(settings, listener, self._metrics)
        self._stopping = False

    def close(self) -> None:
        """End the template."""
        self._template.close()

    def greeting(self, url: str) -> str:
        """The greeting of a process that loads the models, and ends; raises SettingsError."""
        try:
            process, pipe = self._template.fork(_greet, url)
        except OSError as error:
            raise SettingsError(f"no server process can start: {error}") from error
        child = _Child(process, pipe, 0)
        try:
            greeting, fault = pipe.recv()
        except EOFError:
            greeting, fault = "", "the process that checks the models has died"
        finally:
            child.kill()  # it has said all, unless Ctrl-C ends this process
            self._template.exit_code(process)
            pipe.close()
        if fault:
            raise SettingsError(fault)
        return str(greeting)

    def run(self) -> int:
        """Run until a signal stops all processes, or one cannot start; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)
        try:
            return self._watch()
        finally:
            self._stop()

    def _watch(self) -> int:
        while not self._stopping:
            if self._missing() and monotonic() >= self._not_before:
                self._start()
            wait([child.pipe for child in self._children], CHECK_SECONDS)
            self._kill_hanging()
            for child in self._children:
                if child.asks:  # it was stopped alone: the others serve whoever waits
                    child.dismiss()
            for child in [each for each in self._children if each.ended]:
                self._children.remove(child)
                if self._ended(child) and not self._stopping and not self._serves():
                    return STARTUP_FAILURE
        return 0

    def _missing(self) -> list[int]:
        """The numbers of the processes that do not run."""
        present = {child.number for child in self._children}
        return [number for number in range(self._settings.workers) if number not in present]

    def _serves(self) -> bool:
        """Whether a process has run for long enough to serve."""
        old = [each for each in self._children if monotonic() - each.began >= CALM_SECONDS]
        return any(not each.ended for each in old)

    def _start(self) -> None:
        for number in self._missing():
            try:
                process, pipe = self._template.fork(_serve, number)
            except OSError as error:  # no memory, or no process, is left for now
                _logger.error("no server process can start: %s", error.strerror or error)
                self._not_before = monotonic() + PAUSE_SECONDS
                return
            self._children.append(_Child(process, pipe, number))

    def _kill_hanging(self) -> None:
        """Kill the processes whose event loop stands still; `_watch` replaces what has ended."""
        now, asleep = monotonic(), monotonic() - self._looked > ASLEEP_SECONDS
        self._looked = now
        for child in self._children:
            child.listen()
            if child.heard is not None and asleep:
                child.heard = now
            silent = 0.0 if child.heard is None or child.asks else now - child.heard
            if silent > self._settings.hang_seconds:
                _logger.error("server process %s does not answer", child.process)
                child.kill()

    def _ended(self, child: _Child) -> bool:
        """Record the end of a process; return whether it could not start, as others could not."""
        code, lived = self._template.exit_code(child.process), monotonic() - child.began
        child.pipe.close()
        failed = code == STARTUP_FAILURE
        if self._metrics:
            self._metrics.slots[child.number].forget_gauges()
            self._metrics.connections[child.number] = TAKES_NONE
        if not self._stopping:
            _logger.error("server process %s ended with %s", child.process, code)
        if failed or lived < CALM_SECONDS:
            self._not_before = monotonic() + PAUSE_SECONDS
        return failed

    def _stop(self) -> None:
        """Stop all processes, and kill those that take too long."""
        began, limit = monotonic(), self._settings.drain_seconds
        self._signal(signal.SIGTERM)
        self._await_answers(began + answering_seconds(limit))
        admit_no_more(self._listener)
        sleep(HANDSHAKE_SECONDS)
        self._listener.close()
        self._template.close()  # it holds the listener, too
        for child in self._children:
            child.dismiss()
        deadline = began + limit + KILL_SECONDS
        for child in self._children:
            if not child.await_end(deadline - monotonic()):
                child.kill()

    def _await_answers(self, deadline: float) -> None:
        """Wait until every process has answered its requests, or has ended."""
        while monotonic() < deadline:
            self._kill_hanging()
            busy = [each for each in self._children if not each.ended and not each.asks]
            if not busy:
                return
            wait([each.pipe for each in busy], CHECK_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            child.send(number)

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True

    def _on_hangup(self, _: int, __: FrameType | None) -> None:
        self._signal(signal.SIGHUP)


def _serve(
    settings: Settings,
    listener: socket.socket,
    memory: SharedMemory | None,
    supervisor: Connection,
    number: int,
) -> None:
    """The main function of a server process."""
    from app.metrics import Metrics
    from app.server.process import serve
    from app.service import Service

    os.set_blocking(supervisor.fileno(), False)
    service = Service(settings, Metrics(memory, number))
    sys.exit(serve(settings, listener, service, SharedDoor(supervisor, memory, number)))


def _greet(
    settings: Settings,
    _: socket.socket,
    __: SharedMemory | None,
    supervisor: Connection,
    url: str,
) -> None:
    """Send the greeting, and what is wrong with the models."""
    from app.greeting import greeting, loaded

    try:
        found = greeting(loaded(settings), settings, url), ""
    except SettingsError as error:
        found = "", str(error)
    with suppress(BrokenPipeError):  # a signal has ended the supervisor
        supervisor.send(found)


def _metrics_memory(slots: int) -> SharedMemory | None:
    """Memory for the metrics of all processes; None where there is none."""
    try:
        return SharedMemory.allocate(slots)
    except OSError as error:
        _logger.warning("each process shows its own metrics only: %s", error.strerror or error)
        return None
