"""Import a network that was trained elsewhere as an artifact."""

from model.importing.importer import import_model

__all__ = [
    "import_model",
]
