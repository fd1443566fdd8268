"""A request's headers as a plain dictionary, which is made once per request."""

from starlette.types import Scope

_KEY = "mcd.headers"


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by name in lower case; if a header was sent twice, the first one counts."""
    known: dict[str, str] | None = scope.get(_KEY)
    if known is None:
        known = scope[_KEY] = {
            name.decode("latin-1"): value.decode("latin-1").strip(" \t")
            for name, value in reversed(scope["headers"])
        }
    return known
