"""Chunks are scored in one process or several; the results keep the order of the chunks."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection

from model.errors import DataError
from model.predictor import Predictor
from model.scoring.chunks import Chunk
from model.scoring.scorer import Job, Scored, Scorer

_LOOK_SECONDS = 0.1  # after which Ctrl-C is answered, while a result is waited for
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
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(future: Future[Scored]) -> Scored:
    """The result, once it is there.

    Ctrl-C that is answered within a lock of the pool can leave it locked: the pool then waits for
    ever. So the pool sees none, and it is answered between two looks.
    """
    while True:
        with _interrupts_held_back():
            if wait([future], _LOOK_SECONDS).done:
                return future.result()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Answer Ctrl-C afterwards, as it would have been: what is called meanwhile never sees one.

    Nor does a process that starts, not even as Python starts in it. A mask alone is not enough: the
    system may give the signal to another thread of this process.
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
        signal.raise_signal(signal.SIGINT)


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
        connection.wait([parent.sentinel])
        os._exit(1)
