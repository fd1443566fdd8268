"""Outputs of many passes, in chunks of bounded memory."""

import ctypes
from collections.abc import Iterator

import torch
from torch import Tensor

from model.passes.masks import draw_noise
from model.passes.network import MLP, MLPConfig
from model.passes.products import outputs, prefix

CHUNK_BYTES = 1 << 21  # of the widest activation: a larger chunk does not fit in the caches


CHUNK_PASSES = 8  # the least number of passes in a chunk, however many rows there are


MOST_PASSES = 4096  # in a chunk of few rows: more gain no time, and their noise takes memory


def run(
    network: MLP, x: Tensor, seed: int, *, passes: range, row_ids: Tensor | None = None
) -> Iterator[Tensor]:
    """Outputs [p, B, O] of consecutive chunks of the passes over x [B, D].

    Memory depends on the chunk and not on the number of passes. `row_ids` are as in `draw_noise`.
    """
    known = prefix(network, x, shared=row_ids is None)
    for chunk in pieces(passes, chunk_passes(network.config, len(x))):
        noise = draw_noise(network.config, seed, chunk, row_ids, device=x.device)
        yield outputs(network, known, noise)


def chunk_passes(config: MLPConfig, rows: int) -> int:
    """Number of passes over `rows` rows whose widest activation fills the chunk."""
    widest = max(*config.site_widths, config.outputs)
    return min(max(CHUNK_PASSES, CHUNK_BYTES // (4 * widest * max(rows, 1))), MOST_PASSES)


def pieces(passes: range, size: int) -> Iterator[range]:
    """Consecutive pieces of a range, each of `size` but the last, which has the rest.

    With equal pieces, each chunk reuses the memory that the chunk before has freed.
    """
    for start in range(0, len(passes), size):
        yield passes[start : start + size]


def return_freed_memory() -> None:
    """Return the free memory that glibc keeps to the system; other allocators are not affected.

    Call this after a large request: the next chunk then takes its memory from the system again.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def keep_freed_memory() -> None:
    """Make glibc keep the memory that a chunk of passes frees, for the next chunk.

    Otherwise glibc returns freed blocks of some MB to the system, and the system maps them again
    page by page: measured, that is two to three times slower. glibc returns only blocks above a
    threshold, and freeing a block raises the threshold to its size, up to 32 MB. The block here is
    never written, so it takes no memory. Other allocators are not affected.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)
