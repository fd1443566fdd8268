"""The loss of a model over planes of weights, with dropout.

Three kinds of surfaces lie over a plane of weights theta, for the mean loss L over some rows:

    deterministic   L(theta)
    mask t          L(theta * m_t), the network thinned by the mask of pass t
    average         mean over t of L(theta * m_t)

The average is an estimate of what training with dropout minimises (without the weight decay): the
expected loss of a thinned network. It is the mean of losses, and not the loss of the mean of the
passes. By Jensen's inequality the latter is lower: by the variance across the passes where the loss
is a squared error, and by the mutual information in expectation where it is a log loss and the
model is calibrated.

Passes are numbered: pass t of a seed has the masks that `predict` with that seed and shared masks
has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.artifact import (
    Card,
    DotRecord,
    LandscapeRecord,
    ModelRecord,
    PlaneRecord,
    SurfaceRecord,
    table_of_model,
)
from model.data import Table, Tabular, encode_table, encode_target
from model.errors import InputError
from model.exploration.landscape_options import LandscapeOptions
from model.exploration.landscape_planes import MaskSpace, mask_space, random_directions
from model.exploration.landscape_weights import Directions, Weights, chunks, losses
from model.messages import readable
from model.passes import MLP, Noise, draw_noise
from model.predictor import Predictor
from model.tasks import TASKS

DOTS = 128  # thinned networks that span the plane of masks, and are shown
FRAMES = 8  # of them have a surface of their own, at most
MARGIN = 1.15  # the plane of masks reaches so much farther than the farthest dot

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Dot:
    """A thinned network; see `DotRecord`."""

    x: float
    y: float
    loss: float
    distance: float
    on_plane: float


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane with its surfaces [y, x] by name; see `PlaneRecord`."""

    name: str
    title: str
    axis: np.ndarray  # of x and of y
    labels: tuple[str, str]
    surfaces: dict[str, np.ndarray]
    roughness: dict[str, float]
    explained: float | None = None
    explained_new: float | None = None
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True, slots=True)
class Landscape:
    """The result of `landscape`; `rows` of the table's rows were used."""

    card: Card
    loss: str
    data: str
    data_sha256: str
    rows: int
    options: LandscapeOptions
    planes: tuple[Plane, ...]

    @property
    def summary(self) -> str:
        """The loss at the trained weights, with dropout off and with dropout on, in a sentence."""
        surfaces, masks = self.planes[0].surfaces, self.options.masks
        off = readable(at_centre(surfaces["deterministic"]))
        if "average" not in surfaces:
            return f"At the trained weights the loss is {off}; the network has no dropout."
        on = readable(at_centre(surfaces["average"]))
        return (
            f"At the trained weights the loss is {off} with dropout off, and {on} on average over "
            f"{masks} thinned networks."
        )

    def record(self) -> LandscapeRecord:
        """What is stored beside the model and answered by the service; losses have four digits."""
        return LandscapeRecord(
            model=ModelRecord(name=self.card.name, version=self.card.version),
            loss=self.loss,
            data=self.data,
            data_sha256=self.data_sha256,
            rows=self.rows,
            masks=self.options.masks if len(self.planes) > 1 else 0,
            seed=self.options.seed,
            planes=tuple(map(_record, self.planes)),
        )


def landscape(
    predictor: Predictor,
    table: Table | Tabular,
    options: LandscapeOptions | None = None,
    *,
    progress: Progress = lambda done, of: None,  # noqa: ARG005
) -> Landscape:
    """The loss over two planes of weights, measured on rows of the table.

    The table may have any form that `read_table` takes. The landscape of an ensemble is that of its
    first member. `progress` is called with the points that are done, and with all of them. Raises
    DataError naming file, row and column; InputError if a loss is not finite.
    """
    options, card = options or LandscapeOptions(), predictor.card
    table = table_of_model(card, table)
    x, y = encode_table(table, card.schema_of_rows), encode_target(table, card.target_of_rows)
    rows = _chosen(table.row_count, options)
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    targets = torch.from_numpy(y[rows])
    if targets.is_floating_point():
        targets = targets.to(torch.float32)
    drawing = _Drawing(
        next(iter(predictor.networks)),
        torch.from_numpy(x[rows]),
        partial(task.losses, targets=targets),
        options,
    )
    with torch.inference_mode():
        planes = tuple(drawing.planes(progress))
    members = card.architecture.members
    loss = task.loss_in_words + (f", of member 1 of {members}" if members > 1 else "")
    return Landscape(card, loss, table.name, table.sha256, len(rows), options, planes)


def at_centre(z: np.ndarray) -> float:
    """The loss of the trained weights on a surface [y, x]."""
    return float(z[len(z) // 2, len(z) // 2])


def roughness(z: np.ndarray) -> float:
    """The root mean square of the fourth differences of a surface along both axes.

    The fourth difference of a cubic is 0, so a wide valley does not count; a kink does, in
    proportion to its bend. It is a norm: that of a mean is at most the mean of the norms.
    """
    squares = np.concatenate([np.diff(z, 4, axis=axis).ravel() ** 2 for axis in (0, 1)])
    return float(np.sqrt(squares.mean()))


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A network, its rows x [B, D], and the loss [G, B] of outputs [G, B, O]."""

    network: MLP
    x: Tensor
    loss: Callable[[Tensor], Tensor]
    options: LandscapeOptions

    def planes(self, progress: Progress) -> Iterator[Plane]:
        """The plane of random directions, and that of masks if the network has any."""
        network, options = self.network, self.options
        space = None
        if network.config.stochastic:
            space = mask_space(network, self._passes(range(DOTS)))
        count = (1 if space is None else 2) * options.points**2
        tick = _Ticks(progress, count)
        directions = random_directions(network, options.seed)
        axis = np.linspace(-options.extent, options.extent, options.points)
        labels = ("first random direction (1 = the norm of each filter)", "second random direction")
        found = self._surfaces(directions, axis, tick)
        yield Plane("random", "Random directions", axis, labels, _named(found), _rough(found))
        if space is not None:
            yield self._plane_of_masks(space, tick)

    def _plane_of_masks(self, space: MaskSpace, tick: "_Ticks") -> Plane:
        places, distances = space.place(self.network, self._passes(range(DOTS)))
        fresh, beyond = space.place(self.network, self._passes(range(DOTS, 2 * DOTS)))
        inside = float(fresh.square().sum())
        reach = MARGIN * float(places.abs().max()) * self.options.extent
        axis = np.linspace(-reach, reach, self.options.points)
        labels = (
            "first principal direction of the masks (1 = typical displacement of a pass)",
            "second principal direction",
        )
        found = self._surfaces(space.directions, axis, tick)
        return Plane(
            "masks",
            "Principal directions of the masks",
            axis,
            labels,
            _named(found),
            _rough(found),
            explained=min(1.0, space.share()),
            explained_new=inside / (inside + float(beyond.square().sum())),
            dots=tuple(self._dots(space, places, distances)),
        )

    def _dots(self, space: MaskSpace, places: Tensor, distances: Tensor) -> Iterator[Dot]:
        own, there = Weights.of(self.network), places.to(self.x)
        for some in chunks(self.network, len(self.x), len(places)):
            whole = self._losses(own.thinned(self._passes(range(DOTS)[some])))
            flat = self._losses(own.moved(space.directions, there[some]))
            columns = (places[some].T.tolist(), distances[some].tolist())
            for x, y, away, loss, near in zip(*columns[0], columns[1], whole, flat, strict=True):
                yield Dot(x, y, loss, away, near)

    def _surfaces(self, directions: Directions, axis: np.ndarray, tick: "_Ticks") -> np.ndarray:
        """The surfaces [1 + masks, y, x]: dropout off, then under each mask."""
        side, own = len(axis), Weights.of(self.network)
        down, across = np.meshgrid(axis, axis, indexing="ij")
        at = torch.from_numpy(np.stack([across.ravel(), down.ravel()], 1)).to(self.x)  # [G, 2]
        passes = range(self.options.masks if self.network.config.stochastic else 0)
        noises = [self._passes(passes[t : t + 1]) for t in passes]
        found = np.empty((1 + len(noises), len(at)))
        for some in chunks(self.network, len(self.x), len(at)):
            moved = own.moved(directions, at[some])
            found[0, some] = self._losses(moved)
            for t, noise in enumerate(noises, 1):
                found[t, some] = self._losses(moved.thinned(noise))
            tick(some.stop - some.start)
        if not np.isfinite(found).all():
            raise InputError("extent: the loss is not finite somewhere; use a smaller one")
        return found.reshape(-1, side, side)

    def _losses(self, weights: Weights) -> list[float]:
        found: list[float] = losses(self.network, weights, self.x, self.loss).tolist()
        return found

    def _passes(self, passes: range) -> Noise:
        return draw_noise(self.network.config, self.options.seed, passes)


class _Ticks:
    """Counts points and tells how many are done."""

    def __init__(self, progress: Progress, of: int) -> None:
        self._progress, self._of, self._done = progress, of, 0

    def __call__(self, more: int) -> None:
        self._done += more
        self._progress(self._done, self._of)


def _chosen(count: int, options: LandscapeOptions) -> np.ndarray:
    """The positions of the rows that are used, in their order."""
    if count <= options.rows:
        return np.arange(count)
    random = np.random.default_rng(options.seed)
    return np.sort(random.choice(count, options.rows, replace=False))


def _named(found: np.ndarray) -> dict[str, np.ndarray]:
    """The surfaces that are kept, by name, of those with dropout off and under each mask."""
    off, masks = found[0], found[1:]
    if not len(masks):
        return {"deterministic": off}
    frames = {f"mask {number}": z for number, z in enumerate(masks[:FRAMES], 1)}
    return {"deterministic": off, "average": masks.mean(0), **frames}


def _rough(found: np.ndarray) -> dict[str, float]:
    """The roughness with dropout off, of the average, and under a single mask on average.

    All are relative to the range of one surface, the average, so that they compare.
    """
    off, masks = found[0], found[1:]
    if not len(masks):
        return {"deterministic": roughness(off) / (np.ptp(off) or 1.0)}
    average = masks.mean(0)
    rough = {
        "deterministic": roughness(off),
        "average": roughness(average),
        "single": sum(map(roughness, masks)) / len(masks),
    }
    return {name: value / (np.ptp(average) or 1.0) for name, value in rough.items()}


def _record(plane: Plane) -> PlaneRecord:
    axis = tuple(_rounded(value, 6) for value in plane.axis.tolist())
    return PlaneRecord(
        name=plane.name,  # type: ignore[arg-type]
        title=plane.title,
        x=axis,
        y=axis,
        x_label=plane.labels[0],
        y_label=plane.labels[1],
        explained=plane.explained and _rounded(plane.explained, 4),
        explained_new=plane.explained_new and _rounded(plane.explained_new, 4),
        surfaces=tuple(
            SurfaceRecord(
                name=name, z=tuple(tuple(_rounded(v, 4) for v in row) for row in z.tolist())
            )
            for name, z in plane.surfaces.items()
        ),
        dots=tuple(
            DotRecord(
                x=_rounded(dot.x, 4),
                y=_rounded(dot.y, 4),
                loss=_rounded(dot.loss, 4),
                distance=_rounded(dot.distance, 4),
                on_plane=_rounded(dot.on_plane, 4),
            )
            for dot in plane.dots
        ),
        roughness={name: _rounded(value, 4) for name, value in plane.roughness.items()},
    )


def _rounded(value: float, digits: int) -> float:
    """The value with so many significant digits."""
    return float(f"{value:.{digits}g}")
