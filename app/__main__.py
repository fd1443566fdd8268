"""`python -m app`: serve models over HTTP."""

import argparse
import json
import multiprocessing
import os
import re
import shlex
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from app.listener import listening
from app.messages import nearest
from app.settings import Settings, SettingsError, let_idle_threads_sleep, read_settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from app.service import Service

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

        try:
            _say(_greeting_of_another(settings, url), sys.stdout)
        except SettingsError as error:
            return _fail(error)
        return Supervisor(settings, listener).run()
    from app.server import serve  # slow, as are the imports of `_loaded`

    try:
        service = _loaded(settings)
    except SettingsError as error:
        return _fail(error)
    _say(_greeting(service, settings, url), sys.stdout)
    return serve(settings, listener, service)


def _loaded(settings: Settings) -> "Service":
    """The service with its models; raises SettingsError."""
    from app.http import read_keys
    from app.metrics import Metrics
    from app.service import Service
    from model import ArtifactError

    service = Service(settings, Metrics())
    try:
        read_keys(settings.api_keys_file) if settings.api_keys_file else ()
        service.load()
    except ArtifactError as error:
        raise SettingsError(str(error)) from error
    return service


def _greeting_of_another(settings: Settings, url: str) -> str:
    """The greeting of a process that loads the models, and ends; raises SettingsError.

    So a supervisor, which lives as long as its servers, needs no memory for torch and models.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_greet, args=(settings, url, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        greeting, fault = ours.recv()
    except EOFError:
        greeting, fault = "", "the process that checks the models has died"
    finally:
        ours.close()
        process.join()
    if fault:
        raise SettingsError(fault)
    return str(greeting)


def _greet(settings: Settings, url: str, pipe: "Connection") -> None:
    """Send the greeting, and what is wrong with the models."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's; this process ends soon
    try:
        pipe.send((_greeting(_loaded(settings), settings, url), ""))
    except SettingsError as error:
        pipe.send(("", str(error)))


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

        parser.exit(0, f"mc-dropout-service {__version__}\nkernel: {kernel_name()}\n")


def _greeting(service: "Service", settings: Settings, url: str) -> str:
    option = ""
    if settings.uds:
        option = f" --unix-socket {shlex.quote(str(settings.uds))}"
    place = f"{settings.uds} as {url}" if settings.uds else url
    body = json.dumps({"rows": [service.example_row(service.default)]})
    return (
        f"Serving {', '.join(service.cards)} on {place}\nPlayground: {url}/\nDocs: {url}/docs\n"
        "Try:\n"
        f"curl -s{option} {url}/predict -H 'content-type: application/json' "
        f"-d {shlex.quote(body)}\n"
    )


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
