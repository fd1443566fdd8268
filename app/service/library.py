"""Read the models and their versions from folders, and find out whether the folders have changed.

A library never changes. Reading the folders again makes a new library. A folder that is broken by
then keeps the model that it had before.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import model
from app.settings import Settings, SettingsError
from model import ArtifactError, Predictor

CARD = "card.json"
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a folder when it was read; no predictor if no read of it has succeeded."""

    signature: Signature
    predictor: Predictor | None


@dataclass(frozen=True, slots=True)
class Library:
    """The versions of each model, the newest first, by model name, the default model first.

    `faults` are sentences about folders that could not be read, or that hold a name twice.
    """

    models: Mapping[str, tuple[Predictor, ...]] = field(default_factory=dict)
    sources: Mapping[Path, Source] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def changed(self, settings: Settings) -> bool:
        """Whether the folders, or the files in them, differ from those that were read."""
        folders = [folder for group in _groups(settings) for folder in group]
        return {folder: source.signature for folder, source in self.sources.items()} != {
            folder: _signature(folder) for folder in folders
        }


def read_library(settings: Settings, previous: Library | None = None) -> Library:
    """The library in the folders that the settings name.

    Without a `previous` library, a broken folder raises ArtifactError, and two models with one name
    raise SettingsError. With a `previous` library, both are faults.
    """
    sources: dict[Path, Source] = {}
    models: dict[str, tuple[Predictor, ...]] = {}
    homes: dict[str, Path] = {}
    faults: list[str] = []
    for group in _groups(settings):
        for folder in group:
            sources[folder] = _read(folder, previous, faults)
            predictor = sources[folder].predictor
            if predictor is None:
                continue
            name = predictor.card.name
            home = homes.setdefault(name, folder)
            if home not in group:
                message = f"{home} and {folder} both hold a model named {name!r}; serve one"
                if previous is None:
                    raise SettingsError(message)
                faults.append(message)
            elif all(
                known.card.version != predictor.card.version for known in models.get(name, ())
            ):
                models[name] = (*models.get(name, ()), predictor)
    if not models:
        raise SettingsError(f"{settings.models_dir} holds no model that can be read")
    return Library(models, sources, tuple(faults))


def _groups(settings: Settings) -> Iterator[list[Path]]:
    """The folders to serve; those of a group are versions of one model, the newest first."""
    for folder in settings.models:
        yield [folder]
    if settings.models_dir is None:
        if not settings.models:
            yield from ([folder] for folder in model.shipped())
        return
    for folder in _subfolders(settings.models_dir):
        if (folder / CARD).exists():
            yield [folder]
        else:
            yield [each for each in reversed(_subfolders(folder)) if (each / CARD).exists()]


def _subfolders(folder: Path) -> list[Path]:
    """The folders that are not hidden, in natural order of their names: 10 comes after 9."""
    try:
        found = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError as error:
        raise SettingsError(f"MCD_MODELS_DIR: {folder}: {error.strerror}") from error
    return sorted((each for each in found if not each.name.startswith(".")), key=_natural)


def _natural(folder: Path) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"\d+|\D+", folder.name)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _read(folder: Path, previous: Library | None, faults: list[str]) -> Source:
    signature = _signature(folder)
    before = previous.sources.get(folder) if previous else None
    if before and before.signature == signature:
        return before
    try:
        return Source(signature, model.load(folder))
    except ArtifactError as error:
        if previous is None:
            raise
        faults.append(str(error))
        return Source(signature, before.predictor if before else None)


def _signature(folder: Path) -> Signature:
    """Names, times and sizes of a folder's files; empty if the folder does not exist."""
    try:
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
