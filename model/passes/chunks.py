"""Outputs of many passes, in chunks of bounded memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from model.passes.masks import draw_noise
from model.passes.network import MLP, MLPConfig
from model.passes.products import outputs, prefix

CHUNK_BYTES = 1 << 21  # of the widest activation: beyond, caches no longer hold a chunk


CHUNK_PASSES = 8  # at least: many wide rows fill a chunk by themselves


MOST_PASSES = 4096  # of few rows: by then nothing is gained, and their noise takes memory


def run(
    network: MLP, x: Tensor, seed: int, *, passes: range, row_ids: Tensor | None = None
) -> Iterator[Tensor]:
    """Outputs [p, B, O] of consecutive chunks of the passes over x [B, D].

    Memory is bounded by the chunk, whatever the number of passes. `row_ids` as in `draw_noise`.
    """
    known = prefix(network, x, shared=row_ids is None)
    for chunk in chunks(passes, chunk_passes(network.config, len(x))):
        noise = draw_noise(network.config, seed, chunk, row_ids, device=x.device)
        yield outputs(network, known, noise)


def chunk_passes(config: MLPConfig, rows: int) -> int:
    """Number of passes over `rows` rows whose widest activation fills the chunk."""
    widest = max(*config.site_widths, config.outputs)
    return min(max(CHUNK_PASSES, CHUNK_BYTES // (4 * widest * max(rows, 1))), MOST_PASSES)


def chunks(passes: range, size: int) -> Iterator[range]:
    """Consecutive pieces of a range with `size` each, the last with what is left.

    As memory is taken in equal blocks, each chunk finds room where the one before was.
    """
    for start in range(0, len(passes), size):
        yield passes[start : start + size]


def keep_freed_memory() -> None:
    """Make glibc keep the memory that a chunk of passes frees, for the next chunk.

    Freed blocks of some MB otherwise go back to the system and are faulted in anew, page by page:
    two to three times slower, measured. Having freed a block raises the size from which glibc does
    that, up to 32 MB; this block is never touched, so it takes no memory. Other allocators do not
    mind.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)
