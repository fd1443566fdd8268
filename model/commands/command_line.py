"""Run the command that the arguments name."""

import argparse
import signal
from collections.abc import Callable, Sequence

from model import ModelError, __version__
from model.commands.calibrate import add_calibrate
from model.commands.evaluate import add_evaluate
from model.commands.export import add_export
from model.commands.import_ import add_import
from model.commands.landscape import add_landscape
from model.commands.parsing import CommandParser, in_flags, refuse_unknown
from model.commands.predict import add_predict
from model.commands.rank import add_rank
from model.commands.show import add_show
from model.commands.terminal import complain, write
from model.commands.train import add_train
from model.messages import in_command

COMMANDS = (  # in the order of --help
    add_train,
    add_import,
    add_evaluate,
    add_calibrate,
    add_predict,
    add_rank,
    add_landscape,
    add_export,
    add_show,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when done, 1 if the output cannot be written, 2 for a mistake of the user.

    A command returns its output. It has saved its files by then, whatever happens to the output.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        refuse_unknown(options.parser, unknown)
    command: Callable[[argparse.Namespace], str] = options.command
    try:
        with in_command():
            output = command(options)
    except ModelError as error:
        complain(f"error: {in_flags(error, vars(options))}")
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return write(output) if output else 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m model",
        description="Train, import, calibrate, evaluate, use, draw and export models.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
