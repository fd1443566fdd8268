"""The processes: one that serves, several that one supervises, and their connections."""

from app.server.process import Server, serve
from app.server.supervisor import Supervisor

__all__ = ["Server", "Supervisor", "serve"]
