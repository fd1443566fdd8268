"""Files that a browser loads: compressed where it accepts that, and sent once per version."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from fastapi import Request, Response

from app.http import compressed, encoding_of, headers_of

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
# Scripts, styles and requests of this server only. No script and no style is in the page itself.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """The content of a file, its media type, and a tag that changes with the content."""

    content: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "StaticFile":
        """The file with that content; raises KeyError for a suffix that is not in TYPES."""
        return cls(content, TYPES[suffix], f'W/"{sha256(content).hexdigest()[:32]}"')

    def answer(self, request: Request) -> Response:
        """The file, or 304 if the browser has this version.

        Browsers ask each time (`no-cache`), so that the modules of a page never are of two
        versions.
        """
        headers = {"etag": self.tag, "cache-control": "no-cache", "vary": "Accept-Encoding"}
        if self.media_type == TYPES[".html"]:
            headers["content-security-policy"] = POLICY
        asked = headers_of(request.scope)
        if _matches(asked.get("if-none-match", ""), self.tag):
            return Response(status_code=304, headers=headers)
        content, encoding = _encoded(self, encoding_of(asked.get("accept-encoding", "")))
        if encoding:
            headers["content-encoding"] = encoding
        return Response(content, headers=headers, media_type=self.media_type)


@cache  # the largest file takes 50 ms of the event loop
def _encoded(file: StaticFile, encoding: str | None) -> tuple[bytes, str | None]:
    """The content of a file in that encoding, and the encoding; a small file as it is."""
    pieces, used = compressed([file.content], encoding or "")
    return b"".join(pieces), used


@cache
def static_files() -> Mapping[str, StaticFile]:
    """The files below `static`, by their path there."""
    folder = Path(str(files("app.pages"))) / "static"
    return {
        path.relative_to(folder).as_posix(): StaticFile.of(path.read_bytes(), path.suffix)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _matches(sent: str, tag: str) -> bool:
    tags = [part.strip().removeprefix("W/") for part in sent.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags
