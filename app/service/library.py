"""The models in folders: which there are, which version is the newest, and what has changed.

A library never changes; reading the folders again makes a new one, and what is broken by then is
served as it was before.
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
    """What a folder held when it was read; no predictor where it was broken from the start."""

    signature: Signature
    predictor: Predictor | None


@dataclass(frozen=True, slots=True)
class Library:
    """The models by name, the default one first; of each its versions, the newest first.

    `faults` are sentences about folders that could not be read.
    """

    models: Mapping[str, tuple[Predictor, ...]] = field(default_factory=dict)
    sources: Mapping[Path, Source] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def changed(self, settings: Settings) -> bool:
        """Whether the folders are not those that were read, or hold something else."""
        folders = [folder for group in _groups(settings) for folder in group]
        return {folder: source.signature for folder, source in self.sources.items()} != {
            folder: _signature(folder) for folder in folders
        }


def read_library(settings: Settings, previous: Library | None = None) -> Library:
    """The library in the folders that the settings name.

    Without a `previous` one a broken folder is an error: ArtifactError, or SettingsError where two
    models have one name. With it, a broken folder is a fault.
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
    """In the order of their names, where 10 comes after 9; without hidden ones."""
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
    """Names, times and sizes of a folder's files; empty where it is gone."""
    try:
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
