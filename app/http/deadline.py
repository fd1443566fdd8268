"""The header in which a client says how long it waits for the answer."""

import math
from collections.abc import Mapping

from app.errors import InvalidRequest
from model import Detail

TIMEOUT = "x-request-timeout-seconds"


def timeout_seconds(headers: Mapping[str, str]) -> float | None:
    """The seconds in the header, None without the header; raises InvalidRequest."""
    sent = headers.get(TIMEOUT)
    if sent is None:
        return None
    try:
        seconds = float(sent)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        message = f"must be a number of seconds above 0, not {sent[:40]!r}"
        raise InvalidRequest(f"{TIMEOUT}: {message}", [Detail(TIMEOUT, message)])
    return seconds
