"""Chunks are scored by actors on the machines of a Ray cluster; the order stays that of the file.

One task reads the file, on the machine that runs the command. Ray Data passes the chunks to the
actors, which have the model, and brings the results back in order. So only that machine needs the
files, and each machine needs this package.
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from model.errors import DataError, ModelError
from model.predictor import Predictor
from model.scoring.chunks import Chunk
from model.scoring.scorer import Job, Scored, Scorer

PART = "part"  # the one column of the data sets: a pickled chunk or result in each row
Batch = Mapping[str, Any]


def scored_on_ray(
    read: Callable[[], Iterator[Chunk]], job: Job, predictor: Predictor, workers: int | None
) -> Iterator[Scored]:
    """The result of each chunk, in order, from so many actors; None: one for each CPU.

    Raises DataError, also that of `read`.
    """
    import ray
    from ray import data

    with _connected(ray):
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        here = ray.get_runtime_context().get_node_id()
        with _settings(data):
            # Not `data.range`: its task would wait for a CPU, which the actors may hold.
            parts = data.from_items([0]).map_batches(
                partial(_parts, read),
                batch_size=None,
                num_cpus=0,
                label_selector={"ray.io/node-id": here},
            )
            results = parts.map_batches(
                Actor,
                batch_size=None,
                fn_constructor_args=(job, predictor),
                compute=data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
                num_cpus=1,
            )
            for row in results.iter_rows():
                found = pickle.loads(row[PART])
                if isinstance(found, ModelError):
                    raise found
                yield found


class Actor:
    """A model in a process of Ray."""

    def __init__(self, job: Job, predictor: Predictor) -> None:
        self._scorer = Scorer(job, predictor)

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        """The results of the chunks in a batch; an error passes through."""
        for part in batch[PART]:
            found = pickle.loads(part)
            yield _packed(found if isinstance(found, ModelError) else _tried(self._scorer, found))


def _tried(scorer: Scorer, chunk: Chunk) -> Scored | ModelError:
    try:
        return scorer(chunk)
    except ModelError as error:
        return error


def _parts(read: Callable[[], Iterator[Chunk]], _: Batch) -> Iterator[Batch]:
    """The chunks, and at the end the error that ended the reading, if one did."""
    try:
        yield from map(_packed, read())
    except ModelError as error:
        yield _packed(error)


def _packed(part: object) -> Batch:
    cells = np.empty(1, dtype=object)
    cells[0] = pickle.dumps(part)
    return {PART: cells}


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """The cluster that the process has, or that RAY_ADDRESS names, or one of this machine alone."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise DataError(f"there is no Ray cluster at RAY_ADDRESS: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _settings(data: Any) -> Iterator[None]:
    """Let Ray Data keep the order and the chunks, and say nothing."""
    context, logger = data.DataContext.get_current(), logging.getLogger("ray.data")
    wanted = [
        (context, "target_max_block_size", 1),  # bytes: each chunk is a block of its own
        (context, "enable_progress_bars", False),
        (context.execution_options, "preserve_order", True),
    ]
    before, level = [getattr(owner, name) for owner, name, _ in wanted], logger.level
    for owner, name, value in wanted:
        setattr(owner, name, value)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for (owner, name, _), value in zip(wanted, before, strict=True):
            setattr(owner, name, value)


def check_ray() -> None:
    """Raise DataError that says how to install Ray, where it is not."""
    if find_spec("ray") is None:
        hint = 'pip install "mc-dropout-service[ray]"'
        raise DataError(f"the engine ray needs Ray: {hint}")
