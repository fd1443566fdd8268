"""The tables of docs that the code defines: fields of an answer, errors, settings.

`python -m docs.tables` writes them into the pages, each between its two comments.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from app.errors import error_rows
from app.settings import PREFIX, Settings
from model import (
    ClassificationPrediction,
    Interval,
    LabelSet,
    RegressionPrediction,
    field_infos,
)

PAGES = Path(__file__).parent
END = "<!-- end of table -->"


def fields(kind: type) -> str:
    """The fields of a dataclass of predictions or regions."""
    rows = [
        (f"`{info.name}`", info.about.unit or "-", info.about.meaning)
        for info in field_infos(kind).values()
    ]
    return table(("field", "unit", "meaning"), rows)


def errors() -> str:
    """The errors that a request can meet."""
    rows = [(str(row.status), f"`{row.code}`", row.meaning) for row in error_rows()]
    return table(("status", "code", "meaning"), rows)


def settings() -> str:
    """The environment variables of the service."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", str(field.default or "none"), str(field.description))
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "meaning"), rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "answer.md": {
        "regression": lambda: fields(RegressionPrediction),
        "classification": lambda: fields(ClassificationPrediction),
        "interval": lambda: fields(Interval),
        "label set": lambda: fields(LabelSet),
    },
    "http.md": {"errors": errors},
    "settings.md": {"settings": settings},
}


def filled(text: str, tables: dict[str, Callable[[], str]]) -> str:
    """The page with its tables as the code has them now."""
    for name, made in tables.items():
        start = f"<!-- table: {name} -->"
        before, found, rest = text.partition(start)
        if not found:
            raise ValueError(f"the page has no {start}")
        _, found, after = rest.partition(END)
        text = f"{before}{start}\n{made()}\n{END}{after}"
    return text


def main() -> None:
    """Write all tables."""
    for page, tables in TABLES.items():
        path = PAGES / page
        path.write_text(filled(path.read_text(), tables))


if __name__ == "__main__":
    main()
