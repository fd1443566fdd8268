"""Stochastic passes: masks drawn by counter, outputs computed in chunks.

*What is drawn* depends on (seed, site, pass[, row]) alone: every mask is a hash of these numbers,
so any pass can be drawn by itself, in any order, on any device. *How it is computed* (chunks,
threads, who shares the batch) therefore never changes an answer.

Shapes: P passes, B rows, D inputs, H units of a site, O outputs.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from model.network import LEVELS, MLP, MLPConfig, Noise

CHUNK_BYTES = 1 << 20  # of the widest activation: a chunk of passes stays in a core's cache

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_INPUT_NOISE_SITE = -1


def draw_noise(config: MLPConfig, seed: int, passes: range, rows: Tensor | None = None) -> Noise:
    """The noise of the given passes: one draw per pass, or per pass and row where `rows` is given.

    `rows` [B] int64 holds each row's identity (its position in the caller's request), so that a row
    keeps its masks whoever stands beside it; its device is where the noise is drawn. Masks are 0 or
    1/(1-p), [P, B or 1, H].
    """
    inputs = None
    if config.input_noise:
        keys = _keys(seed, _INPUT_NOISE_SITE, passes, rows)
        inputs = _normal(keys, config.inputs) * config.input_noise  # [P, B | 1, D]
    masks = tuple(
        _mask(_keys(seed, site, passes, rows), width, level) if level else None
        for site, (width, level) in enumerate(
            zip(config.site_widths, config.drop_levels, strict=True)
        )
    )
    return Noise(masks=masks, inputs=inputs, passes=len(passes))


def run(
    network: MLP, x: Tensor, seed: int, *, passes: range, rows: Tensor | None = None
) -> Iterator[Tensor]:
    """Outputs [p, B, O] of consecutive chunks of the passes over x [B, D].

    Memory is bounded by the chunk, whatever the number of passes. `rows` as in `draw_noise`.
    """
    for chunk in chunks(passes, chunk_passes(network.config, len(x))):
        outputs = network(x, draw_noise(network.config, seed, chunk, rows))
        yield outputs.expand(len(chunk), -1, -1)  # [p, B, O], also where nothing is drawn


def chunk_passes(config: MLPConfig, rows: int) -> int:
    """Number of passes over `rows` rows whose widest activation fills the chunk."""
    widest = max(*config.site_widths, config.outputs)
    return max(1, CHUNK_BYTES // (4 * widest * max(rows, 1)))


def chunks(passes: range, size: int) -> Iterator[range]:
    """Consecutive pieces of a range, `size` long but for the last."""
    for start in range(0, len(passes), size):
        yield passes[start : start + size]


def _keys(seed: int, site: int, passes: range, rows: Tensor | None) -> Tensor:
    """One 64-bit stream key per pass [P, 1, 1], or per pass and row [P, B, 1]."""
    device = rows.device if rows is not None else None
    root = _signed(_hash_int(_hash_int(seed) + (site + 2) * _GOLDEN))
    numbers = torch.arange(passes.start, passes.stop, dtype=torch.int64, device=device)
    keys = _hash(numbers.mul_(_signed(_GOLDEN)).add_(root))[:, None, None]  # [P, 1, 1]
    if rows is None:
        return keys
    return _hash(keys + (rows[:, None] + 1) * _signed(_GOLDEN))  # [P, B, 1]


def _words(keys: Tensor, count: int) -> Tensor:
    """`count` uniform 64-bit words of each key's splitmix64 stream, [P, B | 1, count]."""
    steps = torch.arange(1, count + 1, dtype=torch.int64, device=keys.device)
    return _hash(keys + steps.mul_(_signed(_GOLDEN)))


def _mask(keys: Tensor, width: int, level: int) -> Tensor:
    """Inverted-dropout masks [P, B | 1, width]: 0 with probability level / 2^16, else 1/(1-p)."""
    integers = _words(keys, -(-width // 4)).view(torch.int16)[..., :width]  # 4 to a word
    keep = integers >= level - LEVELS // 2
    return keep.to(torch.float32).mul_(LEVELS / (LEVELS - level))


def _normal(keys: Tensor, width: int) -> Tensor:
    """Standard normal numbers [P, B | 1, width]: Box and Muller's transform of 24-bit uniforms."""
    halves = _words(keys, width).view(torch.int32)  # [P, B | 1, 2 width]
    uniform = halves.bitwise_and_((1 << 24) - 1).to(torch.float32).add_(0.5).mul_(2.0**-24)
    radius, angle = uniform[..., :width], uniform[..., width:]
    return radius.log().mul_(-2).sqrt_().mul_(angle.mul(2 * math.pi).cos_())


def _hash(x: Tensor) -> Tensor:
    """splitmix64's output function (Steele, Lea and Flood 2014) on int64, in place."""
    scratch = torch.empty_like(x)
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
        torch.bitwise_right_shift(x, shift, out=scratch)  # arithmetic: clear the copied sign bits
        x ^= scratch.bitwise_and_((1 << (64 - shift)) - 1)
        if multiplier is not None:
            x *= _signed(multiplier)
    return x


def _hash_int(x: int) -> int:
    """The same function on a Python integer."""
    x &= _WORD
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _WORD
    return x ^ x >> 31


def _signed(x: int) -> int:
    """The int64 with the same 64 bits."""
    return x - (1 << 64) if x >> 63 else x
