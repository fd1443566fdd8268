"""The file of a landscape beside the card and the weights: `landscape.json`.

It is a picture and no part of the model: a model loads without it, and whatever is wrong with the
file. It belongs to the version of the card that it names. The numbers are rounded.
"""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from model.artifact.card import Card, Name
from model.artifact.folder import LANDSCAPE, inside, read
from model.artifact.records import Record
from model.errors import ArtifactError
from model.messages import shown

LIMIT_BYTES = 16 << 20
Count = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class ModelRecord(Record):
    """The model that a landscape is of."""

    name: Name
    version: str


class SurfaceRecord(Record):
    """A loss at every point of a plane: `z` has a row for each y, and a column for each x.

    `deterministic`: dropout off. `mask 1`, `mask 2`, ...: thinned by the mask of one pass.
    `average`: the mean of the losses over all `masks`.
    """

    name: str
    z: tuple[tuple[float, ...], ...]


class DotRecord(Record):
    """A thinned network: its loss, its place in the plane, and its distance from the plane.

    `on_plane` is the loss of the network at its place in the plane, with dropout off.
    """

    x: float
    y: float
    loss: float
    distance: Length
    on_plane: float


class PlaneRecord(Record):
    """A plane through the trained weights, which are at x = 0, y = 0.

    `random`: two random directions, 1 = as long as the network's own filters. `masks`: the first
    two principal directions of what masks do to the weights, 1 = the typical displacement of a
    pass. `explained` is the share of the variance of the dots' displacements in this plane, and
    `explained_new` that of other passes. `roughness` has the root mean square of fourth
    differences, relative to the range of the average: of the deterministic surface, of the average,
    and of a single mask, the mean over all masks.
    """

    name: Literal["random", "masks"]
    title: str
    x: Annotated[tuple[float, ...], Field(min_length=2)]
    y: Annotated[tuple[float, ...], Field(min_length=2)]
    x_label: str
    y_label: str
    explained: Share | None = None
    explained_new: Share | None = None
    surfaces: Annotated[tuple[SurfaceRecord, ...], Field(min_length=1)]
    dots: tuple[DotRecord, ...] = ()
    roughness: dict[str, Length] = Field(default={})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for surface in self.surfaces:
            if [len(row) for row in surface.z] != [len(self.x)] * len(self.y):
                raise ValueError("a surface needs a row for each y, and a number for each x")
        return self


class LandscapeRecord(Record):
    """The loss of a model over planes of weights; `loss` says what is measured, and its unit."""

    format: Literal[1] = 1
    model: ModelRecord
    loss: str
    data: str
    data_sha256: str
    rows: Count
    masks: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    planes: Annotated[tuple[PlaneRecord, ...], Field(min_length=1)]


def save_landscape(folder: str | Path, record: LandscapeRecord) -> int:
    """The bytes of the file, written beside the model that the record names, whole or not at all.

    Raises ArtifactError if the folder has another model or version, or cannot be written to.
    """
    folder, card = Path(folder), read(folder).card
    if record.model != ModelRecord(name=card.name, version=card.version):
        raise ArtifactError(
            f"{folder} has another model or version than the landscape; draw it again"
        )
    content = record.model_dump_json().encode() + b"\n"
    try:
        handle, fresh = tempfile.mkstemp(prefix=f".{LANDSCAPE}-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).chmod(0o644)
            Path(fresh).replace(folder / LANDSCAPE)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ArtifactError(f"{folder / LANDSCAPE} cannot be written: {error.strerror}") from error
    return len(content)


def read_landscape(folder: str | Path, card: Card) -> LandscapeRecord | None:
    """The landscape beside the model of that card; None if there is none.

    It has the card's name: a model may be loaded under another. Raises ArtifactError if the file is
    damaged, or of another model or version.
    """
    folder = Path(folder)
    path = folder / LANDSCAPE
    if not os.path.lexists(path):
        return None
    record = _record(path, _content(folder))
    saved = card.model_copy(update={"name": record.model.name})  # the version is its hash
    if record.model.version != card.version or saved.content_hash() != card.version:
        made = f"{shown(record.model.name)}, version {shown(record.model.version)}"
        raise ArtifactError(f"{path} is of {made}, not of version '{card.version}'; draw it again")
    return record.model_copy(update={"model": ModelRecord(name=card.name, version=card.version)})


def _content(folder: Path) -> bytes:
    try:
        path = inside(folder, LANDSCAPE, "has no landscape")
        size = path.stat().st_size
        if size > LIMIT_BYTES:
            said = f"a landscape has at most {LIMIT_BYTES}"
            raise ArtifactError(f"{folder / LANDSCAPE} has {size} bytes; {said}")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{folder / LANDSCAPE} cannot be read: {error.strerror}") from error


def _record(path: Path, content: bytes) -> LandscapeRecord:
    try:
        return LandscapeRecord.model_validate_json(content)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "landscape"
        raise ArtifactError(f"{path}: {field}: {first['msg']}") from error
