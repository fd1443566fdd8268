"""The settings of the service: environment variables with the prefix `MCD_`."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.messages import nearest, quoted

PREFIX = "MCD_"

_EXPORT_SECONDS = "OTEL_EXPORTER_OTLP_TIMEOUT"
_WAIT_POLICY = "OMP_WAIT_POLICY"
# A browser sends scheme, host and a port that is not the scheme's own, in lower case.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")
_OWN_PORT = re.compile(r"http://.*:80|https://.*:443")
# Of ASCII letters, digits and marks that stay as they are in a URL; no segment is empty or dots.
_SEGMENTS = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # as a card may have it
_COLLECTOR = re.compile(r"OTEL_EXPORTER_OTLP_((TRACES|METRICS)_)?ENDPOINT")


class SettingsError(Exception):
    """A setting is unknown or malformed; the message names the variable."""


class Settings(BaseSettings):
    """The settings. An argument overrides the environment variable, which overrides the default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False
    )

    models: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="Folders of the models to serve, separated by ':' as in PATH; the first is the "
        "default model. If it is empty, the service has the shipped models.",
    )
    names: Annotated[tuple[tuple[str, Path], ...], NoDecode] = Field(
        default=(),
        description="Folders of more models to serve, each under a name of your choice: NAME=DIR, "
        "separated by ':'.",
    )
    models_dir: Path | None = Field(
        default=None,
        description="Folder of more models to serve. Each subfolder is a model, or holds the "
        "versions of one model; the last version by name is the newest.",
    )
    watch_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Seconds between checks of the models' folders for changes, at least 0.1; with "
        "0, only SIGHUP reloads the models.",
    )
    # Not empty: for a socket, an empty host means every address.
    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; :: takes IPv4 too."
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free port."
    )
    uds: Path | None = Field(
        default=None,
        description="Path of a Unix socket to listen on, instead of host and port.",
    )
    root_path: str = Field(
        default="", description="Path prefix that a proxy in front strips, such as /mcd."
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Server processes; each holds all models."
    )
    threads: int = Field(
        default=1, ge=1, le=256, description="Threads for the computation in one process."
    )
    kernel: Literal["on", "off"] = Field(
        default="on",
        description="Whether the compiled kernel, where it is installed, computes the passes of "
        "small networks; off: torch computes all of them.",
    )
    max_rows: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Most rows in one request."
    )
    max_passes: int = Field(
        default=10_000, ge=2, le=10_000_000, description="Most passes in one request."
    )
    max_row_passes: int = Field(
        default=10_000_000, ge=2, le=10**12, description="Most rows x passes in one request."
    )
    max_values: int = Field(
        default=500_000,
        ge=1,
        le=10**9,
        description="Most values and keys in a request's JSON, most rows x features, and most rows "
        "x targets or classes. While a process parses JSON, it answers no other request: for 50 ms "
        "at most with 500,000 values.",
    )
    max_samples: int = Field(
        default=200_000,
        ge=2,
        le=10**9,
        description="Most rows x passes x targets or classes in a request that asks for samples.",
    )
    max_body_bytes: int = Field(
        default=8 << 20, ge=1024, le=4 << 30, description="Most bytes in a request's body."
    )
    in_flight_bytes: int = Field(
        default=256 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="Most bytes that a process holds for all its requests: bodies that arrive, "
        "rows that wait, answers that clients have not read; the server refuses more with status "
        "429.",
    )
    batch_rows: int = Field(
        default=1024, ge=1, le=1_000_000, description="Most rows in one batch, from all requests."
    )
    queue_rows: int = Field(
        default=20_000,
        ge=1,
        le=100_000_000,
        description="Most rows that wait; the server refuses further requests with status 429.",
    )
    request_timeout_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=86_400,
        description="Longest time that a request waits and computes; the header "
        "X-Request-Timeout-Seconds of a request may set a shorter time.",
    )
    hang_seconds: float = Field(
        default=30.0,
        ge=1,
        le=86_400,
        description="With several workers, a server process whose event loop stands still for so "
        "long is replaced. A single process needs a liveness probe for that.",
    )
    keep_alive_seconds: float = Field(
        default=75.0,
        ge=1,
        le=86_400,
        description="How long a connection stays open without a request; longer than the balancer "
        "in front keeps it.",
    )
    drain_seconds: int = Field(
        default=30,
        ge=0,
        le=86_400,
        description="How long a stopping server waits for running requests.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys: one key per line, with an optional name of its holder "
        "after it. Without a file, requests need no key.",
    )
    rate_limit: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="Most requests per second with one key, per server process, at least 0.001; 0 "
        "means no limit. Without keys, it is a limit for all clients together.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose pages may call the service, separated by commas, such as "
        "https://example.org; none by default. A single * means any page, and is taken only where "
        "requests need no key.",
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="Form of the log lines: JSON objects or plain text."
    )
    access_log: bool = Field(default=False, description="Whether every request is logged.")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        default="info", description="Least severe message that is logged."
    )

    @field_validator("models", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return _split(value, os.pathsep)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return _split(value, ",")

    @field_validator("names", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        pairs = [
            part.partition("=")[::2] if isinstance(part, str) else part
            for part in _split(value, os.pathsep)
        ]
        for name, folder in pairs:
            if not folder or not _NAME.fullmatch(name):
                raise ValueError(
                    "a name and a folder are like houses=/models/1; a name has letters, digits, "
                    "'.', '_' and '-'"
                )
        return tuple(pairs)

    @field_validator("names")
    @classmethod
    def _check_names(
        cls, value: tuple[tuple[str, Path], ...], info: ValidationInfo
    ) -> tuple[tuple[str, Path], ...]:
        folders = [*info.data.get("models", ()), *(folder for _, folder in value)]
        if len(set(folders)) < len(folders) or len(dict(value)) < len(value):
            raise ValueError("one folder has one name, and one name one folder")
        return value

    @field_validator("models_dir", "uds", "api_keys_file", mode="before")
    @classmethod
    def _refuse_an_empty_path(cls, value: Any, info: ValidationInfo) -> Any:
        if value != "":
            return value
        if info.field_name == "models_dir" and (info.data.get("models") or info.data.get("names")):
            return None  # a container has no other way to undo what its image sets
        raise ValueError("an empty path; leave the setting out")  # it is the working directory

    @field_validator("root_path")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        if not _SEGMENTS.fullmatch(value):
            raise ValueError(
                "a prefix is empty, or segments such as /a/b of ASCII letters, digits and marks"
            )
        return value

    @field_validator("watch_seconds", "rate_limit")
    @classmethod
    def _check_least(cls, value: float, info: ValidationInfo) -> float:
        least = {"watch_seconds": 0.1, "rate_limit": 0.001}[str(info.field_name)]
        if 0 < value < least:
            raise ValueError(f"Input should be 0, or at least {least}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value == ("*",):
            if info.data.get("api_keys_file"):
                raise ValueError("where requests need a key, name the origins instead of '*'")
            return value
        for origin in value:
            if not _ORIGIN.fullmatch(origin) or _OWN_PORT.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin as browsers send it; an origin is like "
                    "https://example.org or http://localhost:3000, without a path"
                )
        return value


def read_settings(**given: Any) -> Settings:
    """The settings; `given` values override the environment; raises SettingsError."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            like = nearest(variable, known)
            raise SettingsError(
                f"{quoted(variable)} is not a setting{like}; known are {', '.join(sorted(known))}"
            )
    try:
        return Settings(**given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0])
        source = name if name in given else f"{PREFIX}{name}".upper()
        message = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{source}: {message}, not {quoted(str(fault['input']))}") from error


def names_a_collector() -> bool:
    """Whether the environment names a collector for traces or metrics of requests."""
    return any(_COLLECTOR.fullmatch(name) for name in os.environ)


def hurry_exporters() -> None:
    """Let an absent collector of traces delay a stop by a few seconds, instead of by twenty."""
    os.environ.setdefault(_EXPORT_SECONDS, "2")


def let_idle_threads_sleep() -> None:
    """Let threads of OpenMP that wait sleep, unless the environment says otherwise.

    By default they spin, and take the cores from threads that work: on busy cores, two threads of
    torch were ten times slower than one. This has an effect before torch is loaded only.
    """
    os.environ.setdefault(_WAIT_POLICY, "PASSIVE")


def _split(value: Any, separator: str) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(separator) if part.strip())
    return value
