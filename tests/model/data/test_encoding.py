"""A text file in any encoding is read, or refused with the option that reads it."""

import re
from pathlib import Path

import pytest

from model import ReadOptions, Table, read_table
from model.errors import DataError, InputError

TEXTS = {
    "csv": "town,size\nMünchen,1\nKöln,2\n",
    "tsv": "town\tsize\nMünchen\t1\nKöln\t2\n",
    "jsonl": '{"town": "München", "size": 1}\n{"town": "Köln", "size": 2}\n',
}


def read(folder: Path, suffix: str, written: str, **options: str) -> Table:
    path = folder / f"t.{suffix}"
    path.write_bytes(TEXTS[suffix].encode(written))
    return read_table(path, options=ReadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_the_first_bytes_say_is_read(tmp_path: Path, suffix: str, encoding: str) -> None:
    table = read(tmp_path, suffix, encoding)
    assert list(table.columns) == ["town", "size"]
    assert table.columns["town"].tolist() == ["München", "Köln"]


@pytest.mark.parametrize("suffix", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp1252"])
def test_another_is_refused_with_the_option_that_reads_it(
    tmp_path: Path, suffix: str, encoding: str
) -> None:
    with pytest.raises(DataError, match=r"not UTF-8 text; .*--encoding") as caught:
        read(tmp_path, suffix, encoding)
    named = re.search(r"--encoding (\S+)", str(caught.value))
    assert named
    table = read(tmp_path, suffix, encoding, encoding=named[1])
    assert table.columns["town"].tolist() == ["München", "Köln"]


def test_the_words_around_the_fault_show_whether_the_guess_is_right(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: .*'München,1' is in it"):
        read(tmp_path, "csv", "cp1252")
    with pytest.raises(DataError, match=r"line 2: .*name its encoding \(--encoding\)"):
        read(tmp_path, "csv", "cp850")  # a byte of it is no character of cp1252


def test_an_encoding_that_does_not_fit_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: not ASCII text; name another encoding"):
        read(tmp_path, "csv", "utf-8", encoding="ascii")
    for name in ("nope", "zlib"):
        with pytest.raises(
            InputError, match=f"must be a text encoding such as cp1252, not '{name}"
        ):
            ReadOptions(encoding=name)
