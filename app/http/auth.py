"""API keys, and a rate limit per key. This module uses no web framework."""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from app.errors import RateLimited, Unauthorized
from app.settings import Settings, SettingsError

HEALTH_PATHS = ("/v2/health/live", "/v2/health/ready")
PUBLIC_PATHS = (*HEALTH_PATHS, "/", "/docs", "/learn")  # pages ask with the key that is typed in
PUBLIC_FOLDERS = ("/docs/", "/static/")
LEAST_KEY_LENGTH = 16
HOW = "send the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: the name of its holder, and its hash instead of the key itself."""

    name: str
    digest: bytes


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file: one per line, with an optional name after it; `#` begins a comment.

    Raises SettingsError, which names the line but never the key.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"MCD_API_KEYS_FILE: cannot read {path}: {reason}") from None
    keys = [
        _key(path, number, line.split())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not keys:
        raise SettingsError(f"MCD_API_KEYS_FILE: {path} holds no key")
    return tuple(keys)


def _key(path: Path, number: int, words: list[str]) -> Key:
    key, *name = words
    if len(key) < LEAST_KEY_LENGTH or not key.isascii():
        raise SettingsError(
            f"MCD_API_KEYS_FILE: the key in line {number} of {path} needs at least "
            f"{LEAST_KEY_LENGTH} characters, all of them ASCII"
        )
    return Key(" ".join(name) or f"line {number}", _digest(key.encode()))


class Guard:
    """Accepts a request, or raises an error; if the settings have no keys, no request needs one."""

    def __init__(
        self, keys: tuple[Key, ...], per_second: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._keys = keys
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # by name: requests left, and since when

    @classmethod
    def of(cls, settings: Settings) -> "Guard":
        """The guard with the keys and the rate limit of the settings; raises SettingsError."""
        file = settings.api_keys_file
        return cls(() if file is None else read_keys(file), settings.rate_limit)

    def check(self, path: str, headers: Mapping[str, str]) -> str | None:
        """The name of the request's key; raises Unauthorized and RateLimited."""
        if path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDERS):
            return None
        name = self._identify(headers) if self._keys else None
        if self._per_second:
            self._count(name or "")
        return name

    def _identify(self, headers: Mapping[str, str]) -> str:
        sent = headers.get("x-api-key")
        if sent is None:
            scheme, _, sent = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized(f"the request needs an API key; {HOW}")
        digest = _digest(sent.strip().encode("utf-8", "replace"))
        found = None
        for key in self._keys:  # compare with all, so that the time does not depend on the match
            if hmac.compare_digest(key.digest, digest):
                found = key.name
        if found is None:
            raise Unauthorized(f"the API key is not one of this server's; {HOW}")
        return found

    def _count(self, name: str) -> None:
        """Take a token from the key's bucket, which holds those of one second, at least one."""
        now, full = self._clock(), max(1.0, self._per_second)
        left, before = self._buckets.get(name, (full, now))
        left = min(full, left + (now - before) * self._per_second)
        self._buckets[name] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise RateLimited(
                f"more than {self._per_second:g} requests a second (MCD_RATE_LIMIT); try again "
                "after the seconds in Retry-After",
                retry_after_seconds=math.ceil((1 - left) / self._per_second),
            )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
