"""Start, watch, replace and stop several server processes that share one listener.

uvicorn's Multiprocess does not do what these processes need. It makes plain uvicorn servers, which
stop in another way than ours. At SIGHUP it replaces processes instead of passing the signal on. It
waits without a limit for a process that does not end. It does not report that a process has died,
so the metrics would still count that process.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from time import monotonic
from types import FrameType

from uvicorn.config import STARTUP_FAILURE

from app.logs import configure
from app.settings import Settings
from app.shared_metrics import SharedMemory

CHECK_SECONDS = 0.2
CALM_SECONDS = 5.0  # a process that ends sooner is replaced after a pause
PAUSE_SECONDS = 1.0
KILL_SECONDS = 5.0  # after the drain time; then the supervisor kills the process

_logger = logging.getLogger("app")


@dataclass(slots=True)
class _Child:
    process: SpawnProcess
    number: int  # of its slot in the memory of the metrics
    began: float = field(default_factory=monotonic)


class Supervisor:
    """Runs `settings.workers` server processes."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._children: list[_Child] = []
        self._not_before = 0.0
        self._metrics: SharedMemory | None = None
        self._stopping = False

    def run(self) -> int:
        """Run until a signal stops all processes, or one cannot start; return the exit code."""
        configure(self._settings)
        self._metrics = _metrics_memory(self._settings.workers)
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
            sentinels = [child.process.sentinel for child in self._children]
            wait(sentinels, CHECK_SECONDS)
            for child in [each for each in self._children if not each.process.is_alive()]:
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
        return any(each.process.is_alive() for each in old)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        for number in self._missing():
            arguments = (self._settings, self._listener, self._metrics, number)
            process = context.Process(target=_serve, args=arguments, name="mcd-server")
            try:
                process.start()
            except OSError as error:  # no memory, or no process, is left for now
                _logger.error("no server process can start: %s", error.strerror or error)
                self._not_before = monotonic() + PAUSE_SECONDS
                return
            self._children.append(_Child(process, number))

    def _ended(self, child: _Child) -> bool:
        """Record the end of a process; return whether it could not start, as others could not."""
        process, lived = child.process, monotonic() - child.began
        failed = process.exitcode == STARTUP_FAILURE
        if self._metrics:
            self._metrics.slots[child.number].forget_gauges()
        if not self._stopping:
            _logger.error("server process %s ended with %s", process.pid, process.exitcode)
        if failed or lived < CALM_SECONDS:
            self._not_before = monotonic() + PAUSE_SECONDS
        return failed

    def _stop(self) -> None:
        # Otherwise the system would accept connections that no process serves.
        self._listener.close()
        self._signal(signal.SIGTERM)
        deadline = monotonic() + self._settings.drain_seconds + KILL_SECONDS
        for child in self._children:
            child.process.join(max(0.0, deadline - monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process.pid and child.process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(child.process.pid, number)

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True

    def _on_hangup(self, _: int, __: FrameType | None) -> None:
        self._signal(signal.SIGHUP)


def _serve(
    settings: Settings, listener: socket.socket, memory: SharedMemory | None, number: int
) -> None:
    """The main function of a server process."""
    from app.metrics import Metrics
    from app.server.process import serve
    from app.service import Service

    sys.exit(serve(settings, listener, Service(settings, Metrics(memory, number))))


def _metrics_memory(slots: int) -> SharedMemory | None:
    """Memory for the metrics of all processes; None where there is none."""
    try:
        return SharedMemory.allocate(slots)
    except OSError as error:
        _logger.warning("each process shows its own metrics only: %s", error.strerror or error)
        return None
