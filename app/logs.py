"""Log lines: one JSON object each, or plain text. A line has no content of a request."""

import json
import logging
import sys
from datetime import UTC, datetime

from app.settings import Settings

FIELDS = ("request_id", "method", "path", "status", "milliseconds", "key")


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message and process, and those of FIELDS that the record has."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(settings: Settings) -> None:
    """Send all log lines of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if settings.log_format == "json"
        else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    level = settings.log_level.upper()
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("app.access").setLevel("INFO" if settings.access_log else "CRITICAL")
