"""Read the models and their versions from folders, and find out whether the folders have changed.

A library never changes. Reading the folders again makes a new library. A folder that is broken by
then keeps the model that it had before. What cannot be read in the models' folder is a fault, and
the others are served.
"""

import logging
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import model
from app.json import to_json
from app.settings import Settings, SettingsError
from model import ArtifactError, Predictor

CARD = "card.json"
_logger = logging.getLogger("app")

Signature = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Landscape:
    """The stored landscape of a model as JSON; None if there is none, or none of this version."""

    document: bytes | None = None
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a folder when it was read; no predictor if no read of it has succeeded."""

    signature: Signature
    predictor: Predictor | None
    landscape: Landscape = Landscape()


@dataclass(frozen=True, slots=True)
class Library:
    """The versions of each model, the newest first, by model name, the default model first.

    `faults` are sentences about folders that could not be read, or that hold a name twice;
    `unseen` are those about entries of the models' folder that could not even be looked into.
    """

    models: Mapping[str, tuple[Predictor, ...]] = field(default_factory=dict)
    sources: Mapping[Path, Source] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def landscape(self, predictor: Predictor) -> Landscape:
        """What is stored of the loss of one of the models."""
        found = (each.landscape for each in self.sources.values() if each.predictor is predictor)
        return next(found, Landscape())

    def changed(self, settings: Settings) -> bool:
        """Whether the folders, or the files in them, differ from those that were read."""
        unseen: list[str] = []
        folders = [folder for group in _groups(settings, self, unseen) for folder in group]
        read = {folder: source.signature for folder, source in self.sources.items()}
        return read != {folder: _signature(folder) for folder in folders} or (
            tuple(unseen) != self.unseen
        )


def read_library(settings: Settings, previous: Library | None = None) -> Library:
    """The library in the folders that the settings name.

    Without a `previous` library, a broken folder of `settings.models` or `settings.names` raises
    ArtifactError, and two models with one name raise SettingsError. With a `previous` library, both
    are faults. Raises SettingsError if there is no model at all.
    """
    sources: dict[Path, Source] = {}
    models: dict[str, tuple[Predictor, ...]] = {}
    homes: dict[str, Path] = {}
    unseen: list[str] = []
    groups = _groups(settings, previous or Library(), unseen)
    faults = [*unseen]
    named = _named(settings)
    strict = named if previous is None else {}
    for group in groups:
        for folder in group:
            before = previous.sources.get(folder) if previous else None
            found = None if folder in strict else faults
            sources[folder] = _read(folder, named.get(folder), before, found)
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
        reason = f": {faults[0]}" if faults else ""
        raise SettingsError(f"{settings.models_dir} holds no model that can be read{reason}")
    return Library(models, sources, tuple(faults), tuple(unseen))


def _groups(settings: Settings, before: Library, unseen: list[str]) -> list[list[Path]]:
    """The folders to serve; those of a group are versions of one model, the newest first.

    For an entry that cannot be looked into, those of the library `before`, and a sentence more in
    `unseen`.
    """
    groups = [[folder] for folder in _named(settings)]
    if settings.models_dir is None:
        return groups or [[folder] for folder in model.shipped()]
    try:
        entries = _folders(settings.models_dir, unseen)
    except OSError as error:
        message = f"MCD_MODELS_DIR: {settings.models_dir}: {error.strerror or error}"
        raise SettingsError(message) from error
    return [*groups, *(_versions(entry, before, unseen) for entry in entries)]


def _named(settings: Settings) -> dict[Path, str | None]:
    """The folders that the settings name one by one, each with the name that its model is to have.

    None stands for the name on its card.
    """
    return {**dict.fromkeys(settings.models), **{folder: name for name, folder in settings.names}}


def _versions(entry: Path, before: Library, unseen: list[str]) -> list[Path]:
    """The folders of one entry of the models' folder: its own, or those of its versions."""
    try:
        if _holds_model(entry):
            return [entry]
        folders = _folders(entry, unseen)
    except OSError as error:
        _note(entry, error, unseen)
        return [folder for folder in before.sources if entry in (folder, folder.parent)]
    return [each for each in reversed(folders) if _is_model(each, before, unseen)]


def _is_model(folder: Path, before: Library, unseen: list[str]) -> bool:
    try:
        return _holds_model(folder)
    except OSError as error:
        _note(folder, error, unseen)
        return folder in before.sources


def _holds_model(folder: Path) -> bool:
    """Whether the folder has a card, be it a link that leads nowhere; raises OSError."""
    return any(entry.name == CARD for entry in folder.iterdir())


def _folders(folder: Path, unseen: list[str]) -> list[Path]:
    """The folders that are not hidden, in natural order of their names: 10 comes after 9.

    An entry that may be a folder, but cannot be looked at, is one of them. Raises OSError.
    """
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return sorted((each for each in entries if _is_folder(each, unseen)), key=_natural)


def _is_folder(entry: Path, unseen: list[str]) -> bool:
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not entry.is_symlink():
            return False  # it was removed since its folder was listed
        _note(entry, error, unseen)
        return True


def _note(entry: Path, error: OSError, unseen: list[str]) -> None:
    sentence = f"{entry} cannot be read: {error.strerror or error}"
    if sentence not in unseen:
        unseen.append(sentence)


def _natural(folder: Path) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"\d+|\D+", folder.name)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _read(
    folder: Path, name: str | None, before: Source | None, faults: list[str] | None
) -> Source:
    """The folder's content, `before` if it is the same; raises where there is no list of faults.

    The model has the name that is given, if one is.
    """
    signature = _signature(folder)
    if before and before.signature == signature:
        return before
    try:
        predictor = model.load(folder, name=name)
    except ArtifactError as error:
        if faults is None:
            raise
        faults.append(str(error))
        return replace(before, signature=signature) if before else Source(signature, None)
    return Source(signature, predictor, _landscape(folder, predictor))


def _landscape(folder: Path, predictor: Predictor) -> Landscape:
    """The landscape in a folder; whatever is wrong with it, the model is served."""
    try:
        found = model.read_landscape(folder, predictor.card)
    except ArtifactError as error:
        _logger.warning("a landscape is not shown: %s", error)
        return Landscape(unusable=True)
    if found is None:
        return Landscape()
    return Landscape(to_json(found.model_dump(mode="json", exclude={"format"})))


def _signature(folder: Path) -> Signature:
    """Names, inodes, times and sizes of a folder's files.

    The time of the last change is that of a permission too. What cannot be looked at has the number
    of the error instead, so that its repair is a change.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        return (("", error.errno or 0, 0, 0, 0),)
    return tuple(_entry(path) for path in entries)


def _entry(path: Path) -> tuple[str, int, int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        return (path.name, error.errno or 0, 0, 0, 0)
    return (path.name, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
