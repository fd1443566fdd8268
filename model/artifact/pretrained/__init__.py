"""The models that come with the package, as artifact folders beside this file."""

from pathlib import Path

NAMES = ("diabetes", "breast-cancer", "digits")  # the default model first


def shipped() -> tuple[Path, ...]:
    """The folders of the shipped models, the default first."""
    return tuple(Path(__file__).parent / name for name in NAMES)
