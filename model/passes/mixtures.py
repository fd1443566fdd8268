"""Mix two independent draws of noise, site by site.

A *source* of noise is a dropout site with a rate above 0, the Gaussian noise of the input, or the
choice of a member of an ensemble. The sources are independent, so a pass that takes some of them
from one draw and the others from another draw is a pass like any other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.passes.network import MLPConfig, Noise

MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Source:
    """A source of noise; `site` is the number of its dropout site, None for the other sources."""

    name: str
    rate: float | None
    site: int | None


def sources(config: MLPConfig, members: int = 1) -> tuple[Source, ...]:
    """The sources of noise in networks of one shape, in the order in which a pass meets them."""
    found = [Source(MEMBER, None, None)] if members > 1 else []
    found += [Source("input noise", None, None)] if config.input_noise else []
    for site, (rate, level) in enumerate(zip(config.dropout, config.drop_levels, strict=True)):
        if level:
            found.append(Source(f"hidden {site}" if site else "input", rate, site))
    return tuple(found)


def mixed(first: Noise, second: Noise, chosen: Tensor, of: Sequence[Source]) -> Noise:
    """Noise of K P passes: K mixtures of each of the P passes of two draws with shared masks.

    Mixture k of pass p takes source s from the first draw where `chosen` [K, P, S] is true, and
    from the second elsewhere. The passes of a mixture follow one another.
    """
    masks, inputs = list(first.masks), first.inputs
    members: Tensor | None = None
    for number, source in enumerate(of):
        take = chosen[..., number, None, None]  # [K, P, 1, 1]
        if source.name == MEMBER:
            members = _either(take[..., 0, 0], first.members, second.members)
        elif source.site is None:
            inputs = _either(take, first.inputs, second.inputs)
        else:
            masks[source.site] = _either(take, first.masks[source.site], second.masks[source.site])
    return replace(
        first,
        masks=tuple(masks),
        inputs=inputs,
        passes=math.prod(chosen.shape[:2]),
        members=members,
    )


def _either(take: Tensor, first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Numbers [K P, 1, H], or [K P], from one of two draws [P, 1, H], or [P]."""
    if first is None or second is None:
        return None
    return torch.where(take, first, second).flatten(0, 1)
