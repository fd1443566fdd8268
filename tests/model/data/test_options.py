"""Messages name an option as the reader has it: as the command does, or as Python does."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import model.data
from model import ReadOptions, TrainOptions, read_table, train
from model.commands import main
from model.data.names import clean, find_columns
from model.data.options import option
from model.errors import DataError
from model.messages import in_command

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(clean)


@pytest.fixture(autouse=True)
def _typed() -> None:
    """Messages name options as Python has them, other than in the tests beside these."""


@given(st.lists(NAMES.filter(bool), min_size=1, unique=True))
def test_an_option_names_any_columns_in_a_shell(names: list[str]) -> None:
    with in_command():
        typed = shlex.split(option(drop=tuple(names)))
    text = typed[1] if len(typed) == 2 else typed[0].removeprefix("--drop=")
    assert find_columns(text, names, table="t") == tuple(names)


def test_an_option_is_named_as_the_reader_has_it() -> None:
    assert option(drop="price, EUR") == "drop='price, EUR'"
    assert option(decimal=",", thousands=".") == ("options=ReadOptions(decimal=',', thousands='.')")
    with in_command():
        assert option(drop="price, EUR") == "--drop 'price, EUR'"
        assert option(decimal=",", thousands=".") == "--decimal , --thousands ."
        assert option(missing_values=("n/k", "a,b")) == "--missing-values 'n/k,\"a,b\"'"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_advice_to_python_can_be_typed_into_python(tmp_path: Path, suffix: str) -> None:
    rows = [f"{at},5" for at in range(30)]
    lines = ["a;y", *(f"{row};1" for row in rows)]
    if suffix == "jsonl":
        lines = [f'{{"a": "{row}", "y": 1}}' for row in rows]
    path = tmp_path / f"t.{suffix}"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_table(path)
    advice = re.search(r"options=(ReadOptions\(.*?\)) \(", str(caught.value))
    assert advice
    assert "--" not in str(caught.value)
    table = read_table(path, options=eval(advice[1], {"ReadOptions": ReadOptions}))
    assert table.columns["a"].tolist() == [at + 0.5 for at in range(30)]


def test_advice_names_only_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    flags = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", capsys.readouterr().out))
    python = {field.name for field in chain(fields(ReadOptions), fields(TrainOptions))}
    python |= {*signature(read_table).parameters, *signature(train).parameters}
    named = set(_named())
    assert len(named) > 5
    assert named <= python
    assert {f"--{name.replace('_', '-')}" for name in named} <= flags


def _named() -> Iterator[str]:
    """The options that modules about tables name in their messages."""
    for path in Path(str(model.data.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option":
                yield from (keyword.arg for keyword in node.keywords if keyword.arg)
