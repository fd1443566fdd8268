"""The compiled kernel: passes of small networks on the CPU, without torch.

The kernel (`model/passes/kernel`) draws the masks of `model.passes.masks` and has the formulas of
the samplers, fused over blocks of rows that fit in the caches. So its numbers equal those of torch
to rounding; tests hold that. The installation of the package compiles it where a C++ compiler is.
Without it, torch computes everything.

Shapes: M members, B rows, D inputs, O outputs, V values of one pass, K classes.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from weakref import finalize

import numpy as np
import torch

from model.calibration import Similarity
from model.passes.ensemble import Ensemble
from model.passes.estimate import COVARIANCE_CLASSES, Agreement
from model.passes.network import ActivationName, MLPConfig

WIDEST = 256  # units; with wider layers, the products of torch are faster
WIDEST_ROW = 24  # columns; of wider rows, torch has the distances as soon
MOST_LAYERS = 16
AT_ONCE = 1 << 25  # multiplications, a few ms: of a call, or between two questions of a longer one
LEAST_ROWS = 32  # of a call: a block of the kernel
# Of kernel.cpp: a kernel that was compiled from older sources has another one, or none.
INTERFACE = 5

_ASKED = ctypes.CFUNCTYPE(ctypes.c_int)
_UNASKED = _ASKED()
_NOTHING = ctypes.c_char * 0
_UNWANTED, _NO_MEMORY = 1, 2  # how a call ends if not by the answers: `End` in networks.hpp


@dataclass(frozen=True, slots=True)
class Fused:
    """What the kernel finds for B rows, by each member's passes.

    Means, variances, and their errors, and the values with dropout off; and of a classifier the
    covariance of the values, for up to COVARIANCE_CLASSES, and the votes.
    """

    whole: np.ndarray  # [M, 5, B, V] float64
    covariance: np.ndarray | None = None  # [M, B, V, V] float64
    votes: np.ndarray | None = None  # [M, B, K] int64

    @classmethod
    def empty(cls, members: int, rows: int, outputs: int, *, classes: bool) -> "Fused":
        """Room for the answers."""
        values = outputs + classes
        covariance = classes and outputs <= COVARIANCE_CLASSES
        return cls(
            np.empty((members, 5, rows, values)),
            np.empty((members, rows, values, values)) if covariance else None,
            np.empty((members, rows, outputs), dtype=np.int64) if classes else None,
        )

    @property
    def numbers(self) -> np.ndarray:
        """The means, the variances, and their errors, [M, 4, B, V]."""
        return self.whole[:, :4]

    @property
    def deterministic(self) -> np.ndarray:
        """The values with dropout off, [M, B, V]."""
        return self.whole[:, 4]

    @property
    def agreement(self) -> Agreement | None:
        """The agreement of all passes of a classifier."""
        if self.votes is None:
            return None
        each = self.covariance
        shared = None if each is None else each.sum(0) / len(each)
        return Agreement(shared, self.votes.sum(0))


class Kernel:
    """Networks of one shape as the kernel keeps them: a copy of their weights."""

    def __init__(
        self,
        library: ctypes.CDLL,
        variant: int,
        networks: Ensemble,
        linear: int,
        *,
        controls: bool,
        temperature: float | None,
    ) -> None:
        config = networks.config
        self._library, self._variant, self._members = library, variant, len(networks)
        self._inputs, self._outputs = config.inputs, config.outputs
        self._classes = temperature is not None
        widths = (*config.site_widths, config.outputs)
        self._macs = sum(a * b for a, b in pairwise(widths))
        weights = np.concatenate(
            [
                part.detach().numpy().ravel()
                for network in networks
                for layer in network.linears()
                for part in (layer.weight, layer.bias)
            ]
        ).astype(np.float32, copy=False)
        self._handle = library.mcd_create(
            len(networks),
            len(widths) - 1,
            (ctypes.c_int * len(widths))(*widths),
            (ctypes.c_int * len(config.drop_levels))(*config.drop_levels),
            get_args(ActivationName).index(config.activation),
            linear,
            controls,
            1 / temperature if temperature else 0.0,
            weights.ctypes.data,
        )
        if not self._handle:
            raise MemoryError("no memory for the kernel's copy of the weights")
        self._freed = finalize(self, library.mcd_free, self._handle)
        self._freed.atexit = False  # a daemon thread may compute until the very end

    def estimates(
        self,
        x: np.ndarray,
        seed: int,
        *,
        passes: int,
        reduced: bool,
        row_ids: np.ndarray | None = None,
        before_chunk: Callable[[], None] = lambda: None,
    ) -> Fused:
        """The members' estimates for rows x [B, D] float32, each from its share of the passes.

        `row_ids` are as in `draw_noise`, and `before_chunk` is as in `Batch`; any thread may call
        it, in the middle of a call of the kernel, too. Raises MemoryError.
        """
        x = np.ascontiguousarray(x, dtype=np.float32)
        ids = None if row_ids is None else np.ascontiguousarray(row_ids, dtype=np.int64)
        self._check_shapes(x, ids)
        found = Fused.empty(self._members, len(x), self._outputs, classes=self._classes)
        every = self._every(passes, max(min(len(x), LEAST_ROWS), 1), alone=ids is not None)
        question = _Question(before_chunk) if every else None
        run = partial(
            self._library.mcd_run,
            self._handle,
            self._variant,
            _address(x),
            len(x),
            seed,
            passes,
            _address(ids),
            reduced,
            _address(found.whole),
            _address(found.covariance),
            _address(found.votes),
            every,
            question.asked if question else _UNASKED,
        )
        pieces = deque(self._pieces(len(x), passes))
        helpers = min(torch.get_num_threads(), len(pieces)) - 1
        _check(_in_threads(partial(_run_pieces, run, pieces, before_chunk), helpers), question)
        return found

    def _pieces(self, rows: int, passes: int) -> list[tuple[int, int]]:
        """The rows of each call: `AT_ONCE` multiplications, or a block of the kernel."""
        size = max(AT_ONCE // (self._macs * passes) // LEAST_ROWS * LEAST_ROWS, LEAST_ROWS)
        return [(at, min(at + size, rows)) for at in range(0, rows, size)]

    def _check_shapes(self, x: np.ndarray, ids: np.ndarray | None) -> None:
        """Raise ValueError for arrays of other shapes, which the kernel would read past the end."""
        if x.ndim != 2 or x.shape[1] != self._inputs:
            raise ValueError(f"x has the shape {x.shape}; [rows, {self._inputs}] are needed")
        if ids is not None and ids.shape != x.shape[:1]:
            raise ValueError(f"row_ids has the shape {ids.shape}; [{len(x)}] are needed")

    def _every(self, passes: int, rows: int, *, alone: bool) -> int:
        """The passes of a call after which it asks whether to go on; 0: it is short.

        It has so many rows, and takes the passes of all of them at once, or `alone` row by row.
        """
        together = 1 if alone else rows
        every = max(AT_ONCE // (self._macs * together), 1)
        return every if every < passes * (rows // together) else 0


class FusedDistances:
    """The distances of a similarity, as `Similarity.distances` has them."""

    def __init__(self, library: ctypes.CDLL, variant: int, similarity: Similarity) -> None:
        centre, whitening, rows, columns, halves = similarity.arrays
        surplus = -len(rows) % LEAST_ROWS  # of whole vectors, infinitely far
        columns = np.pad(columns, [(0, 0), (0, surplus)])
        halves = np.pad(halves, (0, surplus), constant_values=np.inf)
        # The kernel has only their addresses.
        self._kept = [*map(np.ascontiguousarray, (centre, whitening, columns, halves, rows))]
        addresses = [array.ctypes.data for array in self._kept]
        self._run, self._variant, self._width = library.mcd_distances, variant, len(centre)
        self._of = (self._width, len(halves), *addresses)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The distances [B] of rows x [B, D]."""
        if x.ndim != 2 or x.shape[1] != self._width:
            raise ValueError(f"x has the shape {x.shape}; [rows, {self._width}] are needed")
        x, found = np.ascontiguousarray(x, dtype=np.float32), np.empty(len(x))
        self._run(self._variant, _address(x), len(x), *self._of, _address(found))
        return found


class _Question:
    """Asks `before_chunk` in the middle of a call, and keeps what it raises: `answer`."""

    def __init__(self, before_chunk: Callable[[], None]) -> None:
        self.answer: BaseException | None = None
        self._before_chunk = before_chunk
        self.asked = _ASKED(self._goes_on)

    def _goes_on(self) -> bool:
        try:
            if self.answer is None:
                self._before_chunk()
        except BaseException as error:  # none may pass through the kernel; Ctrl-C comes here, too
            self.answer = error
        return self.answer is None


def _check(ends: Sequence[int], question: _Question | None) -> None:
    """Raise what has kept a call from its answers."""
    if _NO_MEMORY in ends:
        raise MemoryError("no memory for the passes")
    if _UNWANTED in ends:
        raise (question and question.answer) or KeyboardInterrupt


def _address(array: np.ndarray | None) -> Any:
    """Where the numbers of an array are, as an argument of the kernel."""
    if array is None:
        return None
    if array.flags.writeable:
        return _NOTHING.from_buffer(array.data)  # takes a fifth of the time
    return array.ctypes.data


def _run_pieces(
    run: Callable[[int, int], int], pieces: deque[tuple[int, int]], before: Callable[[], None]
) -> int:
    """How the last of the pieces has ended that this thread has run, while others run the rest.

    It takes one by one, as threads may be of different speed. After an end without answers, or an
    error, nobody takes another.
    """
    try:
        while piece := _next(pieces):
            before()
            if end := run(*piece):
                return end
        return 0
    finally:
        pieces.clear()


def _next(pieces: deque[tuple[int, int]]) -> tuple[int, int] | None:
    """A piece that no other thread has taken; None if there is none."""
    try:
        return pieces.popleft()
    except IndexError:
        return None


def _in_threads(work: Callable[[], int], helpers: int) -> list[int]:
    """How the work of this thread and of so many helpers has ended."""
    if not helpers:
        return [work()]
    others = [_pool(os.getpid()).submit(work) for _ in range(helpers)]
    try:
        own = work()
    finally:
        wait(others)  # after Ctrl-C, too: they write into the arrays
    return [own, *(other.result() for other in others)]


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001  a fork has none of the threads
    """Threads that help a caller which has several pieces and may use several threads."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="mcd-kernel")


def kernel_of(
    networks: Ensemble,
    linear: int,
    *,
    controls: bool = True,
    temperature: float | None = None,
    variant: str | None = None,
) -> Kernel | None:
    """The networks for the kernel; None if torch is to compute them.

    The first `linear` outputs are those that the reduced estimator estimates. With `temperature`
    the outputs are logits, and the values of a pass are the probabilities of the classes and their
    entropy; without, they are the outputs. `variant` names one
    of `variants`; by default it is the fastest. torch computes layers of more than WIDEST units,
    norms, Gaussian input noise, and all on other devices than the CPU.
    """
    library, device = _library(), next(networks.parameters()).device
    if library is None or device.type != "cpu" or not fits(networks.config):
        return None
    known = variants()
    number = _numbers()[variant or known[0]]
    return Kernel(library, number, networks, linear, controls=controls, temperature=temperature)


def distances_of(similarity: Similarity, *, variant: str | None = None) -> FusedDistances | None:
    """The distances of a similarity by the kernel; None if numpy and torch are to compute them.

    That is where the kernel is not compiled, and for rows of more than WIDEST_ROW columns.
    """
    library = _library()
    if library is None or len(similarity.centre) > WIDEST_ROW:
        return None
    return FusedDistances(library, _numbers()[variant or variants()[0]], similarity)


def fits(config: MLPConfig) -> bool:
    """Whether the kernel computes networks of this shape."""
    return (
        config.stochastic
        and not config.normalised
        and not config.input_noise
        and len(config.site_widths) <= MOST_LAYERS
        and max(*config.site_widths, config.outputs) <= WIDEST
    )


def variants() -> tuple[str, ...]:
    """The kernel's variants that this processor runs, the fastest first; none without a kernel."""
    return tuple(_numbers())


def kernel_name() -> str:
    """What computes the passes of small networks: `compiled (avx512)`, or `torch`."""
    known = variants()
    return f"compiled ({known[0]})" if known else "torch"


@cache
def _numbers() -> dict[str, int]:
    """The number of each variant that this processor runs."""
    library, found, number = _library(), dict[str, int](), 0
    while library is not None and (name := library.mcd_variant(number)) != b"":
        if name:
            found[name.decode()] = number
        number += 1
    return found


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled library; None if absent, of other sources, or switched off by MCD_KERNEL."""
    if any(name.upper() == "MCD_KERNEL" and value == "off" for name, value in os.environ.items()):
        return None  # in either case, as the settings of the service
    folder = Path(__file__).parent
    files = (folder / f"_kernel{suffix}" for suffix in EXTENSION_SUFFIXES)
    path = next((str(file) for file in files if file.exists()), None)
    try:
        return _declared(ctypes.CDLL(path)) if path else None
    except OSError:  # of another machine, or without its C++ library
        return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL | None:
    """The library with the types of its functions; None if it is one of another interface."""
    if not hasattr(library, "mcd_interface") or library.mcd_interface() != INTERFACE:
        return None
    pointer, whole, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.mcd_variant.argtypes, library.mcd_variant.restype = [whole], ctypes.c_char_p
    library.mcd_create.argtypes = [whole, whole, pointer, pointer, whole, whole, whole]
    library.mcd_create.argtypes += [ctypes.c_float, pointer]
    library.mcd_create.restype = pointer
    library.mcd_free.argtypes, library.mcd_free.restype = [pointer], None
    library.mcd_run.argtypes = [pointer, whole, pointer, long, ctypes.c_uint64, long, pointer]
    library.mcd_run.argtypes += [whole, pointer, pointer, pointer]
    library.mcd_run.argtypes += [long, _ASKED, long, long]
    library.mcd_run.restype = whole
    library.mcd_distances.argtypes = [whole, pointer, long, whole, long, *[pointer] * 6]
    library.mcd_distances.restype = None
    return library
