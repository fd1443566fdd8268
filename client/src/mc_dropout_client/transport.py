"""What both shells ask of httpx: the address, the options of a request, what its errors mean."""

from typing import Any

import httpx

from mc_dropout_client.errors import ClientError, TimedOut, Unreachable
from mc_dropout_client.flow import Send

CONNECT_SECONDS = 10.0


def address(url: str) -> str:
    """The URL without a slash at its end; raises ValueError if it is none of HTTP."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address such as http://localhost:8000")
    if parsed.query or parsed.fragment:
        raise ValueError(f"{url!r} has a query; give the address of the service alone")
    return str(parsed).rstrip("/")


def options_of(step: Send) -> dict[str, Any]:
    """The keyword arguments of `request`."""
    seconds = step.timeout_seconds
    timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
    return {"content": step.body, "headers": dict(step.headers), "timeout": timeout}


def unanswered(error: httpx.RequestError, url: str) -> ClientError:
    """The exception for a request that got no answer."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"{url} has not answered in time", code="deadline_exceeded")
    reason = str(error) or type(error).__name__
    return Unreachable(f"{url} does not answer: {reason}", code="unreachable")
