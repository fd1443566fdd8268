"""The processes: one server, or several with a supervisor, and their connections."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from app.server.supervisor import Supervisor

if TYPE_CHECKING:
    from app.server.process import Server, serve

__all__ = ["Server", "Supervisor", "serve"]


def __getattr__(name: str) -> Any:
    """What loads torch and the models, which a supervisor does not need."""
    if name in ("Server", "serve"):
        return getattr(import_module("app.server.process"), name)
    raise AttributeError(name)
