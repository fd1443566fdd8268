"""The command `mcd`: rows of a file to the service, predictions to a file."""

import argparse
import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, get_args

from mc_dropout_client.answers import Answer
from mc_dropout_client.async_client import AsyncClient
from mc_dropout_client.calls import CONCURRENCY, PATIENCE_SECONDS, ROWS_PER_REQUEST
from mc_dropout_client.chunks import changed
from mc_dropout_client.errors import ClientError, NotFound, RefusedRequest, Unauthorized
from mc_dropout_client.sinks import Sink, writing
from mc_dropout_client.sources import ENDINGS, FileError, Format, Part, parts_of
from mc_dropout_client.tables import flat

KEY = "MCD_API_KEY"
OPTIONS = "passes", "seed", "coverage", "estimator", "masks", "tolerance", "largest_error"
EXAMPLES = """examples:
  mcd ask http://localhost:8000 rows.csv --out answers.csv
  mcd ask http://localhost:8000 rows.csv --model houses --keep-columns --columns mean,lower,upper
  cat rows.jsonl | mcd ask http://localhost:8000 - --format jsonl > answers.jsonl
"""


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def run() -> NoReturn:
    """The command, as installed."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when done, 2 for a mistake in the command or in the rows.

    1 if the server does not answer, or the output cannot be written.
    """
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_ask(options))
    except (FileError, ValueError) as error:
        return _failed(2, str(error))
    except (RefusedRequest, NotFound, Unauthorized) as error:
        return _failed(2, str(error))
    except ClientError as error:
        return _failed(1, str(error))
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _failed(1, f"{error.filename or options.out}: {error.strerror}")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _failed(code: int, message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


async def _ask(options: argparse.Namespace) -> None:
    kind = _format(options.rows, options.format, "--format")
    out_kind = _format(options.out, options.out_format, "--out-format", kind)
    client = AsyncClient(
        options.url,
        key=_key(options.key_file),
        patience_seconds=options.patience,
        concurrency=options.concurrency,
    )
    columns = options.columns and options.columns.split(",")
    keep = options.keep_columns
    kept = keep if isinstance(keep, bool) else keep.split(",")
    name = "standard input" if options.rows == "-" else options.rows
    async with client:
        with _reading(options.rows) as source:
            parts = parts_of(source, name, kind, options.concurrency * ROWS_PER_REQUEST)
            first = next(parts)  # a file that cannot be read leaves the output as it is
            with writing(options.out) as stream:
                sink = Sink(stream, out_kind, columns, kept)
                await _copy(client, _chain(first, parts), sink, options, name)


async def _copy(
    client: AsyncClient,
    parts: Iterator[Part],
    sink: Sink,
    options: argparse.Namespace,
    name: str,
) -> None:
    """Ask for the parts, all under one seed, and write the predictions."""
    given = {"model": options.model, "label_set": options.label_set}
    given |= {name: getattr(options, name) for name in OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    over = None if options.timeout is None else time.monotonic() + options.timeout
    done, before = 0, None
    for part in parts:
        if over is not None:
            given["timeout_seconds"] = max(over - time.monotonic(), 1e-3)
        answer = await _answer(client, part, done, given, name)
        if before is not None and before.model != answer.model:
            raise changed(before, answer)
        before = answer
        given |= {"seed": answer.seed, "masks": answer.masks}
        for number, (kept, prediction) in enumerate(zip(part.kept, answer, strict=True), done + 1):
            sink.write(number, kept, dict(flat(prediction)))
        done += len(answer)
        _progress(f"{done:,} rows")
    if before:
        _finish(f"{done:,} rows, model {before.model.name}, seed {before.seed}")


async def _answer(
    client: AsyncClient, part: Part, first: int, given: dict[str, Any], name: str
) -> Answer:
    try:
        return await client.run(client.calls.predict_part(part.table, first, given))
    except RefusedRequest as error:
        detail = error.details[0] if error.details else None
        place = detail and re.fullmatch(r"rows\.(\d+)(?:\.(.+))?", detail.field)
        if not detail or not place:
            raise
        line = part.lines[int(place[1]) - first]
        raise FileError(f"{name}, line {line}: {detail.message}") from error


def _chain(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest


@contextmanager
def _reading(path: str) -> Iterator[TextIO]:
    if path == "-":
        with open(sys.stdin.fileno(), encoding="utf-8-sig", newline="", closefd=False) as stream:
            yield stream
        return
    if not Path(path).is_file():
        raise FileError(f"{path}: there is no such file")
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        yield stream


def _format(path: str, given: Format | None, flag: str, usual: Format = "csv") -> Format:
    """The format that is given, or that the file's name says."""
    if given or path == "-":
        return given or usual
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise FileError(f"{path}: cannot tell the format from {ending!r}; give {flag} csv or jsonl")
    return ENDINGS[ending]


def _key(path: str | None) -> str | None:
    """The API key: of a file, or of the environment. Arguments are visible to other users."""
    if path is None:
        return os.environ.get(KEY) or None
    try:
        return Path(path).read_text(encoding="utf-8").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        raise FileError(f"--key-file: {path} has no key that can be read") from None


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def _finish(text: str) -> None:
    print(f"{chr(13) if sys.stderr.isatty() else ''}{text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mcd", description="Ask an MC dropout service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    ask = commands.add_parser(
        "ask",
        help="predict each row of a file",
        description="Predict each row of a file, which may be larger than memory.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = ask.add_argument
    add("url", metavar="URL", help="the service, such as http://localhost:8000")
    add("rows", metavar="ROWS", help="a .csv or .jsonl file of rows, or - for a pipe")
    add("--out", metavar="FILE", default="-", help="the file to write (default: a pipe)")
    add("--columns", metavar="NAMES", help="fields to write: mean,std,lower or mean.price; or all")
    add(
        "--keep-columns",
        metavar="NAMES",
        nargs="?",
        const=True,
        default=False,
        help="write all columns of the input too, or these: a,b",
    )
    add("--format", choices=get_args(Format), help="of ROWS, where the name does not say it")
    add("--out-format", choices=get_args(Format), help="of the output")
    _add_options(ask)
    return parser


def _add_options(ask: argparse.ArgumentParser) -> None:
    add = ask.add_argument
    add("--model", metavar="NAME", help="default: the server's default model")
    add("--passes", type=int, help="default: the model's own number")
    add("--seed", type=int, help="of the masks (default: a new one, which the command prints)")
    add("--coverage", type=float, help="default: 0.9")
    add("--estimator", choices=("plain", "reduced"))
    add("--masks", choices=("shared", "per_row"))
    add("--tolerance", type=float)
    add("--largest-error", type=float, metavar="R", help="say also whether to accept each row")
    add("--label-set", choices=("lac", "aps", "raps"))
    add("--timeout", type=float, metavar="SECONDS", help="how long all may take")
    usual = f"how long to try a busy server (default: {PATIENCE_SECONDS:g})"
    add("--patience", type=float, metavar="SECONDS", default=PATIENCE_SECONDS, help=usual)
    usual = f"requests at the same time (default: {CONCURRENCY})"
    add("--concurrency", type=int, default=CONCURRENCY, help=usual)
    add("--key-file", metavar="FILE", help=f"with the API key (default: {KEY} of the environment)")
