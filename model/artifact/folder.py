"""Save and read artifacts: folders of `weights.safetensors` and `card.json`.

An artifact is saved whole or not at all. Reading checks everything: the card is validated, the hash
of the weights and the version are computed again. The size of the file of the weights, and the
names, shapes and number format in its header, are compared with the card before any weight is read.
No pickle is read.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import fields
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.artifact.card import Card, seen_record, similarity_record
from model.calibration import Similarity
from model.data import SeenRows
from model.errors import ArtifactError, InputError
from model.messages import shown
from model.passes import MLP, Ensemble, MLPConfig

WEIGHTS = "weights.safetensors"
CARD = "card.json"
SIMILARITY = "similarity."  # the prefix of the names of the tensors for distances
PARTS = tuple(field.name for field in fields(Similarity))
SEEN = "seen."  # the prefix of the names of the tensors of hashes
SEEN_PARTS = tuple(field.name for field in fields(SeenRows))
LANDSCAPE = "landscape.json"  # beside both, if there is one; no part of the model
_FILES = {WEIGHTS, CARD}
_CARD_LIMIT_BYTES = 64 << 20
_HEADER_LIMIT_BYTES = 1 << 20


class Artifact(NamedTuple):
    """A model as it is saved.

    `similarity` has the reference rows for distances, and `seen` the hashes of the rows that the
    model has learned from, if they are known.
    """

    card: Card
    networks: Ensemble
    similarity: Similarity | None = None
    seen: SeenRows | None = None


def save(folder: str | Path, artifact: Artifact) -> Card:
    """The card as it was written, with its weights' hash and its version.

    The artifact appears under its name only when it is complete, and replaces an older artifact.
    Raises ArtifactError if `folder` holds anything else, or cannot be written.
    """
    folder = Path(folder).resolve()  # follows a link instead of replacing it
    check_destination(folder)
    card, weights = _sealed(artifact)
    files = {WEIGHTS: weights, CARD: card.model_dump_json(indent=1).encode() + b"\n"}
    try:
        _save(folder, files)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}") from error
    return card


def sealed(artifact: Artifact) -> Artifact:
    """The artifact with its card as `save` writes it, without saving it."""
    return artifact._replace(card=_sealed(artifact)[0])


def _sealed(artifact: Artifact) -> tuple[Card, bytes]:
    """The card with the hash of the weights and its version, and the file of the weights."""
    card, networks, similarity, seen = artifact
    tensors = networks.tensors() | _similarity_tensors(similarity) | _seen_tensors(seen)
    weights = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    )
    card = card.model_copy(
        update={
            "weights_sha256": sha256(weights).hexdigest(),
            "similarity": similarity and similarity_record(similarity),
            "seen": seen and seen_record(seen),
        }
    )
    return card.model_copy(update={"version": card.content_hash()}), weights


def check_destination(folder: Path) -> None:
    """Raise ArtifactError unless an artifact can be written there; check before a long training."""
    try:
        if folder.exists():
            is_model = folder.is_dir() and _names(folder) in (set(), _FILES)
            problem = None if is_model else "it holds something that is not a model"
        else:
            parent = next(above for above in folder.absolute().parents if above.exists())
            writable = parent.is_dir() and os.access(parent, os.W_OK)
            problem = None if writable else f"{parent} is no folder that can be written to"
    except OSError as error:
        problem = error.strerror
    if problem:
        raise ArtifactError(f"{folder} cannot be written: {problem}; choose another folder")


def _names(folder: Path) -> set[str]:
    """The names in a folder, without those of a landscape, be it half written."""
    names = {entry.name for entry in folder.iterdir()}
    return {name for name in names if not name.removeprefix(".").startswith(LANDSCAPE)}


def read(folder: str | Path) -> Artifact:
    """The artifact in a folder, verified; raises ArtifactError saying what is wrong."""
    folder = Path(folder)
    try:
        card = _card(folder)
        config = _config(folder, card)
        return _built(card, config, folder, _weights(folder, card, config))
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error.strerror}") from error


def _config(folder: Path, card: Card) -> MLPConfig:
    if card.version != card.content_hash():
        raise ArtifactError(
            f"{folder / CARD} was changed after it was written: version {shown(card.version)} does "
            f"not match its content, '{card.content_hash()}'"
        )
    try:
        return card.config
    except InputError as error:
        raise ArtifactError(f"{folder / CARD}: architecture: {error}") from error


def _weights(folder: Path, card: Card, config: MLPConfig) -> bytes:
    """The file of the weights, read after all that its header says has been checked."""
    path = inside(folder, WEIGHTS)
    expected = _shapes(config, card.architecture.members)
    expected |= _similarity_shapes(card) | _seen_shapes(card)
    size, most = path.stat().st_size, 8 * sum(map(math.prod, expected.values()))
    if size > most + _HEADER_LIMIT_BYTES:
        said = f"the card's architecture has at most {most}, and a header"
        raise ArtifactError(f"{folder / WEIGHTS} has {size} bytes; {said}")
    try:
        _check_header(folder, path, expected)
    except ArtifactError:
        with path.open("rb") as file:  # in small parts
            _check_hash(folder, card, hashlib.file_digest(file, "sha256").hexdigest())
        raise
    weights = path.read_bytes()
    _check_hash(folder, card, sha256(weights).hexdigest())
    return weights


def _check_hash(folder: Path, card: Card, digest: str) -> None:
    if digest != card.weights_sha256:
        raise ArtifactError(
            f"{folder / WEIGHTS} is not the file that the card describes: its SHA-256 is "
            f"{digest[:16]}..., the card says {card.weights_sha256[:16]}..."
        )


def _built(card: Card, config: MLPConfig, folder: Path, weights: bytes) -> Artifact:
    tensors = safetensors.torch.load(weights)
    for name, tensor in tensors.items():
        if not math.isfinite(tensor.sum().item()) and not tensor.isfinite().all():
            where = f"{folder / WEIGHTS}: tensor {name!r}"
            raise ArtifactError(f"{where} holds a number that is not finite")
    similarity = _similarity(folder, tensors) if card.similarity else None
    seen = _seen(folder, tensors) if card.seen else None
    with torch.device("meta"):
        members = [MLP(config) for _ in range(card.architecture.members)]
    networks = Ensemble(members)  # no memory, no random numbers
    networks.load(tensors)
    return Artifact(card, networks.requires_grad_(False), similarity, seen)


def _similarity_tensors(similarity: Similarity | None) -> dict[str, Tensor]:
    """The tensors for distances, by their names in the file."""
    return {f"{SIMILARITY}{name}": getattr(similarity, name) for name in PARTS if similarity}


def _similarity(folder: Path, tensors: dict[str, Tensor]) -> Similarity:
    """The reference rows from the file's tensors, which are removed from `tensors`."""
    similarity = Similarity(**{name: tensors.pop(f"{SIMILARITY}{name}") for name in PARTS})
    if bool((similarity.scores.diff() < 0).any()):
        where = f"{folder / WEIGHTS}: tensor '{SIMILARITY}scores'"
        raise ArtifactError(f"{where} does not ascend")
    return similarity


def _similarity_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    if card.similarity is None:
        return {}
    width, entry = card.schema_of_rows.plain_width, card.similarity
    return {
        f"{SIMILARITY}centre": (width,),
        f"{SIMILARITY}whitening": (width, width),
        f"{SIMILARITY}reference": (entry.reference_rows, width),
        f"{SIMILARITY}scores": (entry.calibration_rows,),
    }


def _seen_tensors(seen: SeenRows | None) -> dict[str, Tensor]:
    """The tensors of hashes, by their names in the file."""
    return {f"{SEEN}{name}": torch.from_numpy(getattr(seen, name)) for name in SEEN_PARTS if seen}


def _seen(folder: Path, tensors: dict[str, Tensor]) -> SeenRows:
    """The hashes from the file's tensors, which are removed from `tensors`."""
    seen = SeenRows(**{name: tensors.pop(f"{SEEN}{name}").numpy() for name in SEEN_PARTS})
    for name in SEEN_PARTS:
        hashes = getattr(seen, name)
        if (hashes[1:] < hashes[:-1]).any():
            raise ArtifactError(f"{folder / WEIGHTS}: tensor '{SEEN}{name}' does not ascend")
    return seen


def _seen_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    entry = card.seen
    return {f"{SEEN}{name}": (getattr(entry, name),) for name in SEEN_PARTS if entry}


def _check_header(folder: Path, path: Path, expected: dict[str, tuple[int, ...]]) -> None:
    """Raise ArtifactError if the weights' names, shapes and formats are not those of the card."""
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 no mapping
            held = {
                name: (tuple(part.get_shape()), part.get_dtype()) for name, part in found.items()
            }
    except SafetensorError as error:
        raise ArtifactError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    for name in sorted(expected.keys() | held.keys()):
        where = f"{folder / WEIGHTS}: tensor {shown(name)}"
        if name not in held:
            raise ArtifactError(f"{where} is missing")
        if name not in expected:
            raise ArtifactError(f"{where} has no place in the card's architecture")
        shape, kind = held[name]
        if shape != expected[name]:
            said = f"the card says {list(expected[name])}"
            raise ArtifactError(f"{where} has shape {list(shape)}, {said}")
        number = "I64" if name.startswith(SEEN) else "F32"
        if kind != number:
            raise ArtifactError(f"{where} holds {kind} numbers, not {number}")


def _shapes(config: MLPConfig, members: int) -> dict[str, tuple[int, ...]]:
    """The shapes of an ensemble's weights, by name."""
    one = _member_shapes(config)
    if members == 1:
        return one
    return {f"members.{m}.{name}": one[name] for m in range(members) for name in one}


def _member_shapes(config: MLPConfig) -> dict[str, tuple[int, ...]]:
    widths = (*config.site_widths, config.outputs)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        shapes[f"layers.{layer}.weight"] = (fan_out, fan_in)
        shapes[f"layers.{layer}.bias"] = (fan_out,)
    for side, norms in (("before", config.before), ("after", config.after)):
        for number, norm in enumerate(norms):
            if norm:
                width = (config.hidden[number],)
                shapes |= {f"{side}.{number}.weight": width, f"{side}.{number}.bias": width}
    return shapes


def _card(folder: Path) -> Card:
    content = _bytes(folder, CARD, _CARD_LIMIT_BYTES)
    try:
        json.loads(content)
        return Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "card"
        said = "" if first["type"] == "missing" else f", not {shown(first['input'])}"
        raise ArtifactError(f"{folder / CARD}: {field}: {first['msg']}{said}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder / CARD} is not JSON: {error}") from error


def _bytes(folder: Path, name: str, limit: int) -> bytes:
    path = inside(folder, name)
    size = path.stat().st_size
    if size > limit:
        raise ArtifactError(f"{folder / name} has {size} bytes; a card has at most {limit}")
    return path.read_bytes()


def inside(folder: Path, name: str, lack: str = "is no model") -> Path:
    """The real path of a readable file of the folder; raises ArtifactError if it is elsewhere.

    `lack` says what a folder without the file is.
    """
    path = folder / name
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            raise ArtifactError(f"{path} is a link that leaves the folder, to {real}")
        if not real.is_file():
            raise ArtifactError(f"{path} is not a file")
        with real.open("rb"):
            return real
    except OSError as error:
        raise ArtifactError(f"{folder} {lack}: {name} cannot be read ({error.strerror})") from error
    except RuntimeError as error:  # pathlib of Python 3.11 and 3.12 raises it for such a link
        raise ArtifactError(f"{path} is a link that leads to itself") from error


def _save(folder: Path, files: dict[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        for name, content in files.items():
            _write(fresh / name, content)
        _replace(folder, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(folder: Path, fresh: Path) -> None:
    """Put `fresh` in the place of `folder`; if that fails, restore the old folder."""
    old = fresh.with_name(fresh.name + "-old")
    try:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
