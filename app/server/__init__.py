"""The processes: one server, or several with a supervisor, and their connections."""

from app.server.process import Server, serve
from app.server.supervisor import Supervisor

__all__ = ["Server", "Supervisor", "serve"]
