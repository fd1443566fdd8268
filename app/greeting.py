"""The greeting of a server: which models it serves, where, and how to ask."""

import json
import shlex
from typing import TYPE_CHECKING

from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.service import Service


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
