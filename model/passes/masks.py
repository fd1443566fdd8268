"""The noise of a pass: dropout masks and Gaussian input noise, drawn by counter.

Each number depends on the seed, the pass, the layer and the unit, and on the row if every row has
its own masks. It depends on nothing else, so chunks, threads and other rows do not change it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from model.passes.network import RATE_LEVELS, MLPConfig, Noise

_WORD = (1 << 64) - 1


_GOLDEN = 0x9E3779B97F4A7C15


_UNITS = 4  # 16-bit integers in a word


FIRST_PASSES = 4096  # whose steps are kept


def draw_noise(
    config: MLPConfig,
    seed: int,
    passes: range,
    row_ids: Tensor | None = None,
    *,
    device: torch.device | None = None,
    sites: int | None = None,
) -> Noise:
    """The noise of the given passes: one draw per pass, or per pass and row with `row_ids`.

    `row_ids` [B] int64 are the positions of the rows in the caller's request, so that a row has the
    same masks in every batch. Masks are 0 or 1/(1-p), [P, B or 1, H]. With `sites`, only the first
    sites are drawn, with the same masks as without it.
    """
    keys = _keys(seed, passes, row_ids, device)  # [P, B | 1, 1]
    layout = _layout(config, keys.device, sites)
    masks = _masks(keys, layout)
    return Noise(
        masks=tuple(None if at is None else masks[..., at] for at in layout.sites),
        inputs=_normal(keys, config.inputs) * config.input_noise if config.input_noise else None,
        passes=len(passes),
    )


def draw_uniforms(
    config: MLPConfig, seed: int, passes: range, row_ids: Tensor | None = None
) -> tuple[Tensor | None, ...]:
    """The uniform numbers in (0, 1), [P, B or 1, H] of each site, behind the masks of `draw_noise`.

    A unit is dropped if its number is below the rate. The numbers are (k + 1/2) 2^-16 with whole k.
    A site that drops nothing has None.
    """
    keys = _keys(seed, passes, row_ids, None)
    layout = _layout(config, keys.device, None)
    integers = _integers(keys, layout).to(torch.float32)
    uniforms = integers.add_(RATE_LEVELS / 2 + 0.5).mul_(1 / RATE_LEVELS)
    return tuple(None if at is None else uniforms[..., at] for at in layout.sites)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The positions of each site's units in one vector of U integers, drawn at once."""

    sites: tuple[slice | None, ...]  # None: the site drops nothing
    steps: Tensor  # [U / 4]  offsets of the words in a splitmix64 stream
    levels: Tensor  # [U] int16  a unit is kept if its integer is at least this
    scales: Tensor  # [U]  1/(1-p)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _layout(config: MLPConfig, device: torch.device, drawn: int | None) -> _Layout:
    sites: list[slice | None] = []
    levels: list[int] = []
    for width, level in list(zip(config.site_widths, config.drop_levels, strict=True))[:drawn]:
        sites.append(slice(len(levels), len(levels) + width) if level else None)
        levels += [level] * (-(-width // _UNITS) * _UNITS if level else 0)
    steps = torch.arange(1, len(levels) // _UNITS + 1, dtype=torch.int64, device=device)
    dropped = torch.tensor(levels, dtype=torch.float64, device=device)
    return _Layout(
        sites=tuple(sites) + (None,) * (len(config.site_widths) - len(sites)),
        steps=steps.mul_(_signed(_GOLDEN)),
        levels=(dropped - RATE_LEVELS // 2).to(torch.int16),
        scales=(RATE_LEVELS / (RATE_LEVELS - dropped)).to(torch.float32),
    )


def _keys(seed: int, passes: range, row_ids: Tensor | None, device: torch.device | None) -> Tensor:
    """One 64-bit stream key per pass [P, 1, 1], or per pass and row [P, B, 1]."""
    keys = _hash(_pass_steps(passes, device) + _signed(_hash_int(seed + 1)))[:, None, None]
    if row_ids is None:
        return keys
    return _hash(keys + (row_ids[:, None] + 1) * _signed(_GOLDEN))  # [P, B, 1]


def _pass_steps(passes: range, device: torch.device | None) -> Tensor:
    """Offsets of the passes in a splitmix64 stream, [P].

    Only those of the first passes are kept: what is kept of every chunk would lie where the chunk
    before has freed its activations, so that those of the next one need other memory.
    """
    first = _first_steps(max(len(passes), FIRST_PASSES), device)[: len(passes)]
    if passes.step != 1:
        first = first * passes.step
    return first + _signed(passes.start * _GOLDEN & _WORD) if passes.start else first


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _first_steps(count: int, device: torch.device | None) -> Tensor:
    """The offsets of passes 0, 1, 2, ..., [count]."""
    return torch.arange(count, dtype=torch.int64, device=device).mul_(_signed(_GOLDEN))


def _masks(keys: Tensor, layout: _Layout) -> Tensor:
    """Inverted-dropout masks of all sites' units, [P, B | 1, U]."""
    kept = _integers(keys, layout).ge_(layout.levels)
    return kept.to(torch.float32).mul_(layout.scales)


def _integers(keys: Tensor, layout: _Layout) -> Tensor:
    """A uniform int16 for each unit of all sites, [P, B | 1, U]."""
    return _hash(keys + layout.steps).view(torch.int16)


def _normal(keys: Tensor, width: int) -> Tensor:
    """Standard normal numbers [P, B | 1, width]: Box and Muller's transform of 24-bit uniforms."""
    steps = torch.arange(-width, 0, dtype=torch.int64, device=keys.device)  # masks have 1, 2, ...
    halves = _hash(keys + steps * _signed(_GOLDEN)).view(torch.int32)  # [P, B | 1, 2 width]
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
    """`_hash` of a Python integer."""
    x &= _WORD
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _WORD
    return x ^ x >> 31


def _signed(x: int) -> int:
    """The int64 with the same 64 bits."""
    return x - (1 << 64) if x >> 63 else x
