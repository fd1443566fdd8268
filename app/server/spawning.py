"""Start a process whose first moments no Ctrl-C disturbs."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any


def started(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> SpawnProcess:
    """A new process, which ends with this one; raises OSError.

    A terminal sends Ctrl-C to all processes. The new one gets it once it has called
    `let_interrupts_in`: before that, Python would raise KeyboardInterrupt anywhere in its imports.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=target, args=arguments, name=name, daemon=True)
    resource_tracker.ensure_running()  # it is started with the first process, and unblocks SIGINT
    with _interrupts_blocked():  # a new process inherits it
        process.start()
    return process


def let_interrupts_in() -> None:
    """Get each SIGINT, also one that has come before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
