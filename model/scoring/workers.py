"""Chunks are scored in one process or several; the results keep the order of the chunks."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

from model.errors import DataError
from model.predictor import Predictor
from model.scoring.chunks import Chunk
from model.scoring.scorer import Job, Scored, Scorer

_WAITING = 2  # chunks for each process, so that none waits for the reader; they bound the memory
_scorer: list[Scorer] = []  # of a worker process


def scored(
    chunks: Iterable[Chunk], job: Job, predictor: Predictor, workers: int
) -> Iterator[Scored]:
    """The result of each chunk, in order, from so many processes."""
    if workers == 1:
        yield from map(Scorer(job, predictor), chunks)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(job,)
    )
    try:
        yield from _in_order(chunks, pool, _WAITING * workers)
    except BrokenProcessPool as error:
        raise DataError("a worker process has ended before its work") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(chunks: Iterable[Chunk], pool: ProcessPoolExecutor, most: int) -> Iterator[Scored]:
    waiting: deque[Future[Scored]] = deque()
    for chunk in chunks:
        with _interrupts_held_back():  # a submit may start the processes
            waiting.append(pool.submit(_score, chunk))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Answer Ctrl-C afterwards; what starts meanwhile never sees one, not even as Python starts.

    A mask alone is not enough: the system may give the signal to another thread of this process.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # new processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if held:
        raise KeyboardInterrupt


def _start(job: Job) -> None:
    """Load the model in a new process, which ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C, on Windows as well
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _scorer[:] = [Scorer(job)]


def _score(chunk: Chunk) -> Scored:
    return _scorer[0](chunk)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
