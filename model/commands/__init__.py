"""The commands of `python -m model`, one module each."""

from model.commands.command_line import main
from model.commands.terminal import drop_unwritten

__all__ = ["drop_unwritten", "main"]
