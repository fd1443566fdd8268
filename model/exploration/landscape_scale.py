"""The colours of a surface: bands between low and high losses, and pixels of them.

Far from the trained weights the loss may be thousands of times the loss near them. So the bands are
even in log(1 + (loss - low) / unit): linear near the lowest loss, logarithmic far above it.
"""

import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BANDS = 20
LOW_SHARE = 0.1  # of the points have a loss within one unit of the lowest
LINE = 0.8  # a border between bands is so much darker
_ANCHORS = (  # from low to high; lightness falls all the way, for colour-blind readers
    (252, 250, 222),
    (199, 226, 186),
    (120, 198, 180),
    (52, 155, 177),
    (36, 100, 158),
    (47, 52, 117),
    (40, 16, 60),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Losses from `low` to `high`, linear up to about `unit` above `low`."""

    low: float
    high: float
    unit: float

    def share(self, loss: np.ndarray) -> np.ndarray:
        """The place of losses in the scale, from 0 to 1."""
        steps = np.log1p((np.maximum(loss, self.low) - self.low) / self.unit)
        return np.asarray(np.minimum(steps / self._whole, 1))

    def loss(self, share: float) -> float:
        """The loss at a place in the scale."""
        return self.low + self.unit * math.expm1(share * self._whole)

    def bands(self, loss: np.ndarray) -> np.ndarray:
        """The numbers of the losses' bands, from 0 to BANDS - 1."""
        return np.asarray(np.minimum((self.share(loss) * BANDS).astype(int), BANDS - 1))

    @property
    def _whole(self) -> float:
        return math.log1p((self.high - self.low) / self.unit)


def scale_of(surfaces: Iterable[np.ndarray]) -> Scale:
    """One scale for all surfaces of a plane, so that their colours compare."""
    losses = np.concatenate([z.ravel() for z in surfaces])
    low, high = float(losses.min()), float(losses.max())
    unit = float(np.quantile(losses, LOW_SHARE)) - low
    return Scale(low, high if high > low else low + 1.0, unit or (high - low) or 1.0)


def palette() -> np.ndarray:
    """The colour of each band, [BANDS, 3] uint8."""
    at = np.linspace(0, len(_ANCHORS) - 1, BANDS)
    anchors = np.array(_ANCHORS, dtype=float)
    channels = [np.interp(at, range(len(anchors)), channel) for channel in anchors.T]
    return np.asarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def pixels(z: np.ndarray, scale: Scale, size: int) -> np.ndarray:
    """A square picture [size, size, 3] uint8 of a surface [y, x], the largest y on top.

    The bands are those of z between its points, and their borders are lines.
    """
    bands = scale.bands(_between(_between(z, size).T, size).T[::-1])
    colours = palette()[bands].astype(float)
    border = np.zeros(bands.shape, dtype=bool)
    border[:, :-1] |= bands[:, :-1] != bands[:, 1:]
    border[:-1] |= bands[:-1] != bands[1:]
    colours[border] *= LINE
    return np.asarray(colours.astype(np.uint8))


def png(colours: np.ndarray) -> bytes:
    """A PNG file of a picture [height, width, 3] uint8."""
    height, width, _ = colours.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), colours.reshape(height, -1)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _between(z: np.ndarray, size: int) -> np.ndarray:
    """The columns of z [y, x] at `size` even places, [y, size], linear between its points."""
    at = np.linspace(0, z.shape[1] - 1, size)
    left = np.minimum(at.astype(int), z.shape[1] - 2)
    part = at - left
    return np.asarray(z[:, left] * (1 - part) + z[:, left + 1] * part)
