"""Rows are recognised in any order, file and spelling; rows that repeat by nature are kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.preparation import fit_schema, fit_target
from model.data.reading import read_table
from model.data.seen import SeenRows, repeats, row_hashes
from model.data.table import Table

ROWS = 300


def table(rows: int = ROWS, seed: int = 0, name: str = "first") -> Table:
    """Two numbers, a category, an amount and a class."""
    random = np.random.default_rng(seed)
    columns = {
        "a": random.normal(size=rows),
        "b": np.round(random.normal(size=rows), 2),
        "c": random.choice(np.array(["u", "v"], dtype=object), rows),
        "amount": random.normal(100, 10, rows),
        "sign": random.choice(np.array(["no", "yes"], dtype=object), rows),
    }
    return Table(name, columns, name.ljust(64, "0"))


def hashes(given: Table, target: str = "sign", of: Table | None = None) -> np.ndarray:
    """With the schema and the target of another table, as an artifact has them."""
    fitted = table() if of is None else of
    rows = np.arange(fitted.row_count)
    schema, _ = fit_schema(fitted, ["a", "b", "c"], rows)
    task = "regression" if target == "amount" else "binary"
    return row_hashes(given, schema, fit_target(fitted, [target], task, rows))


def rows_of(given: Table, index: np.ndarray) -> Table:
    columns = {name: column[index] for name, column in given.columns.items()}
    return replace(given, columns=columns)


@pytest.mark.parametrize("target", ["amount", "sign"])
def test_a_row_is_known_by_its_features_and_its_target(target: str) -> None:
    first = hashes(table(), target)
    assert len(set(first.tolist())) == ROWS
    order = np.random.default_rng(3).permutation(ROWS)
    assert (hashes(rows_of(table(), order), target) == first[order]).all()
    for name in ("a", "c", target):
        changed = table()
        changed.columns[name] = changed.columns[name][::-1].copy()
        same = table().columns[name] == changed.columns[name]
        assert ((hashes(changed, target) == first) == same).all()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "float32.parquet"])
def test_neither_the_files_format_nor_the_spelling_of_a_number_matters(
    suffix: str, tmp_path: Path
) -> None:
    given, path = table(), tmp_path / f"again.{suffix}"
    names, lines = list(given.columns), list(zip(*given.columns.values(), strict=True))
    if suffix == "csv":
        spelled = [[f"{v:.17e}" if isinstance(v, float) else v for v in row] for row in lines]
        text = "\n\n".join(",".join(map(str, row)) for row in [names, *spelled])
        path.write_text(text + "\n\n")
    elif suffix == "jsonl":
        records = [dict(zip(names, row, strict=True)) for row in lines]
        path.write_text("\n".join(json.dumps(record) for record in records))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        kind = pyarrow.float32() if "float32" in suffix else pyarrow.float64()
        arrays = {
            name: pyarrow.array(column.tolist(), None if column.dtype == object else kind)
            for name, column in given.columns.items()
        }
        parquet.write_table(pyarrow.table(arrays), path)
    for target in ("amount", "sign"):
        assert (hashes(read_table(path), target) == hashes(given, target)).all()


def test_negative_zero_is_zero_and_a_filled_cell_is_what_fills_it() -> None:
    given = table()
    given.columns["a"][:3] = 0.0, -0.0, np.nan
    rows = np.arange(ROWS)
    schema, _ = fit_schema(given, ["a"], rows, missing="impute")
    (feature,) = schema.features
    filled = table()
    filled.columns["a"][:3] = -0.0, 0.0, feature.fill
    target = fit_target(given, ["amount"], "regression", rows)
    assert (row_hashes(given, schema, target) == row_hashes(filled, schema, target)).all()


def test_every_seen_row_is_found_among_fresh_ones_and_no_fresh_row() -> None:
    first, fresh = hashes(table()), hashes(table(seed=1))
    assert repeats(fresh, np.sort(first)).count == 0
    mixed = np.concatenate([fresh, first[:7]])
    found = repeats(mixed, np.sort(first))
    assert found.again.tolist() == [False] * ROWS + [True] * 7
    assert found.natural == 0


def categories(rows: int, seed: int) -> Table:
    """Three categories of four values and a coin: no more than 128 different rows."""
    random = np.random.default_rng(seed)
    letters = np.array(["p", "q", "r", "s"], dtype=object)
    columns = {name: random.choice(letters, rows) for name in ("a", "b", "c")}
    columns["sign"] = random.choice(np.array(["no", "yes"], dtype=object), rows)
    return Table("letters", columns, f"{seed:064}")


@pytest.mark.parametrize("rows", [100, 1_000])
def test_rows_that_repeat_by_nature_are_kept(rows: int) -> None:
    first = categories(rows, 0)
    seen = np.sort(hashes(first, of=first))
    for seed in range(1, 21):
        fresh = hashes(categories(rows, seed), of=first)
        found = repeats(fresh, seen)
        assert found.count == 0
        assert found.natural == np.isin(fresh, seen).sum() > 0.4 * rows


def test_more_repeats_than_natural_are_seen_rows() -> None:
    first = categories(100, 0)
    known = hashes(first, of=first)
    found = repeats(known, np.sort(known))
    assert found.again.all()


def test_a_table_with_all_rows_of_training_is_one_though_every_row_repeats() -> None:
    """Each of 128 rows has a twin: only their number tells the table from fresh ones."""
    whole = categories(2_000, 0)
    known = hashes(whole, of=whole)
    seen = np.sort(known[np.random.default_rng(2).permutation(2_000)[:1_400]])
    assert np.isin(known, seen).all()
    assert repeats(known, seen).count == 1_400
    for seed in range(1, 41):
        assert repeats(hashes(categories(2_000, seed), of=whole), seen).count == 0
    assert repeats(hashes(categories(20_000, 1), of=whole), seen).count == 0


def test_of_the_same_table_exactly_the_rows_that_were_seen_are_left_out() -> None:
    """However often a row occurs: what is left has as many copies of it as were not seen."""
    first = categories(1_000, 0)
    known = hashes(first, of=first)
    order = np.random.default_rng(1).permutation(1_000)
    found = repeats(known, np.sort(known[order[:850]]), same_table=True)
    assert found.count == 850
    left = np.sort(known[~found.again])
    assert (left == np.sort(known[order[850:]])).all()


def test_nothing_is_found_among_no_rows() -> None:
    empty = np.empty(0, dtype=np.int64)
    assert repeats(hashes(table()), empty).count == 0
    assert repeats(empty, np.sort(hashes(table()))).count == 0
    assert len(SeenRows.of(empty, empty).all) == 0
