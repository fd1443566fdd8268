"""Import a network that was trained elsewhere as an artifact, or wrap one in memory."""

from model.importing.importer import import_model
from model.importing.wrap import wrap

__all__ = [
    "import_model",
    "wrap",
]
