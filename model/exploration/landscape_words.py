"""What a plane of a landscape says, in sentences."""

from collections.abc import Iterator

import numpy as np

from model.exploration.landscape import Plane
from model.messages import readable


def in_words(plane: Plane, masks: int) -> Iterator[str]:
    """What the plane shows of the masks, and which surface is smoother."""
    if plane.explained is not None and plane.explained_new is not None:
        away = np.mean([dot.distance for dot in plane.dots])
        yield (
            f"The plane holds {plane.explained:.1%} of the variance of the {len(plane.dots)} "
            f"displacements that it fits best, and {plane.explained_new:.1%} of that of new "
            f"passes: on average a thinned network is {away:.2g} typical displacements away from "
            "it. So a dot's own loss differs from that of the surface below it."
        )
    if masks > 1 and plane.roughness.get("average"):
        ratio = plane.roughness["single"] / plane.roughness["average"]
        yield (
            f"The average over {masks} masks is {readable(ratio, 2)} times as smooth as the "
            "surface under one mask (root mean square of fourth differences)."
        )
