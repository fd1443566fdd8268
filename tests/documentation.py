"""README and docs as texts: their sections, code blocks, commands and tables."""

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
RELATIVE = 1e-4  # other processors round otherwise
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def page(name: str) -> str:
    """The text of a page of docs."""
    return PAGES[f"docs/{name}.md"]


def section(text: str, title: str) -> str:
    """The text of the section of that title."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(text: str, program: str) -> list[list[str]]:
    """The words of every shell command that runs the program."""
    lines = "\n".join(blocks(text, "bash"))
    starts = re.findall(rf"^({re.escape(program)} (?:[^'\n]|'[^']*')*)", lines, re.M)
    return [shlex.split(start.partition(" | ")[0]) for start in starts]


def table(text: str, title: str) -> list[list[str]]:
    """The cells of the table whose first column has that title."""
    rows = text.split(f"\n| {title} |")[1].split("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows if row]


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def ask(url: str, command: list[str]) -> Any:
    """The answer to a curl command of a page, asked of the server at `url`."""
    address, body = command[2], command[command.index("-d") + 1]
    kind, _, value = command[command.index("-H") + 1].partition(": ")
    path = address.removeprefix("localhost:8000")
    response = httpx.post(url + path, content=body, headers={kind: value}, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def similar(found: Any, shown: Any) -> bool:
    """Whether two documents are the same but for rounding."""
    if isinstance(shown, dict):
        return list(found) == list(shown) and all(similar(found[key], shown[key]) for key in shown)
    if isinstance(shown, list):
        return len(found) == len(shown) and all(map(similar, found, shown))
    return bool(found == (pytest.approx(shown, rel=RELATIVE) if type(shown) is float else shown))
