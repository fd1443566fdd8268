"""The greeting of a server: which models it serves, where, and how to ask."""

import json
import shlex
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import TYPE_CHECKING

from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from app.service import Service


def greeting_of_another(settings: Settings, url: str) -> str:
    """The greeting of a process that loads the models, and ends; raises SettingsError.

    So a supervisor, which lives as long as its servers, needs no memory for torch and models.
    """
    from app.server import started

    ours, theirs = Pipe(duplex=False)
    process = started(_greet, (settings, url, theirs), name="mcd-greeting")
    theirs.close()
    try:
        greeting, fault = ours.recv()
    except EOFError:
        greeting, fault = "", "the process that checks the models has died"
    finally:
        ours.close()
        process.terminate()  # it has said all, unless Ctrl-C ends this process
        process.join()
    if fault:
        raise SettingsError(fault)
    return str(greeting)


def loaded(settings: Settings) -> "Service":
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


def greeting(service: "Service", settings: Settings, url: str) -> str:
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


def _greet(settings: Settings, url: str, pipe: "Connection") -> None:
    """Send the greeting, and what is wrong with the models."""
    try:
        found = greeting(loaded(settings), settings, url), ""
    except SettingsError as error:
        found = "", str(error)
    with suppress(BrokenPipeError):  # a signal has ended the supervisor
        pipe.send(found)
