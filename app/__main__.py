"""`python -m app`: serve models over HTTP."""

import argparse
import os
import re
import signal
import socket
import sys
from contextlib import closing, suppress
from typing import TextIO

from app.greeting import greeting, loaded
from app.listener import listening
from app.messages import nearest
from app.settings import Settings, SettingsError, let_idle_threads_sleep, read_settings

EXAMPLES = """\
examples:
  python -m app
  python -m app --model runs/concrete --model runs/wine --port 9000
  MCD_MAX_ROWS=100 python -m app --host 0.0.0.0 --workers 2

Every other setting is an environment variable with the prefix MCD_; docs/settings.md lists them."""


def main(arguments: list[str] | None = None) -> int:
    """Serve, and return the exit code: 0 after a stop by a signal, 2 for a mistake of the user."""
    let_idle_threads_sleep()
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        like = nearest(unknown[0], re.findall(r"--[\w-]+", parser.format_usage()))
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{like}")
    asked = vars(options)
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        settings = read_settings(**given)
        with listening(settings) as listener:
            return _serve(settings, listener)
    except SettingsError as error:
        return _fail(error)


def _serve(settings: Settings, listener: socket.socket) -> int:
    url = _url(listener)
    if settings.workers > 1:
        from app.server import Supervisor

        with closing(Supervisor(settings, listener)) as supervisor:
            try:
                _say(supervisor.greeting(url), sys.stdout)
            except SettingsError as error:
                return _fail(error)
            return supervisor.run()
    from app.server import serve  # slow, as are the imports of `loaded`

    try:
        service = loaded(settings)
    except SettingsError as error:
        return _fail(error)
    _say(greeting(service, settings, url), sys.stdout)
    return serve(settings, listener, service)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Serve models with dropout left active: mean, variance, and their Monte-Carlo "
        "errors.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        dest="models",
        action="append",
        metavar="DIR",
        help="folder of a model, repeatable; the first is the default model "
        "(MCD_MODELS, default: the shipped models)",
    )
    parser.add_argument(
        "--name",
        dest="names",
        action="append",
        metavar="NAME=DIR",
        help="folder of a model and the name to serve it under, repeatable (MCD_NAMES)",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version, and end")
    for name in ("host", "port", "uds", "workers"):
        field = Settings.model_fields[name]
        text = f"{field.description} (MCD_{name.upper()}, default: {field.default or 'none'})"
        parser.add_argument(f"--{name}", help=text)
    return parser


class _Version(argparse.Action):
    """Prints the version, and what computes the passes of small networks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from app import __version__
        from model import kernel_name

        _say(f"mc-dropout-service {__version__}\nkernel: {kernel_name()}", sys.stdout)
        parser.exit()


def _url(listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return "http://localhost"
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fail(error: Exception) -> int:
    _say(f"python -m app: {error}", sys.stderr)
    return 2


def _say(text: str, stream: TextIO) -> None:
    """Print the text, if anyone reads the stream: no output stops the server."""
    if stream:  # None if it is closed; `print` would take standard output then
        with suppress(OSError):
            print(text, file=stream, flush=True)


def _occupy_standard_streams() -> None:
    """Open those that are closed; otherwise a connection could get the number of standard error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _drop_unwritten() -> None:
    """Drop what nobody reads; otherwise Python ends with the exit code 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    _occupy_standard_streams()
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the server handles it
        sys.exit(128 + signal.SIGINT)
    finally:
        _drop_unwritten()
