"""The published experiments: in short form where the data are at hand, and their bookkeeping."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from model import TrainOptions
from model.artifact import TrainingRecord
from tests.benchmarks.bookkeeping import read_lines
from tests.benchmarks.uci import report
from tests.benchmarks.uci.__main__ import as_chosen, main, retrained, trained
from tests.benchmarks.uci.published import Published, cut

QUICK = ("--passes", "50", "--option", "epochs=2", "hidden=(4,)")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the sets, all noise; a third of the test rows are known."""
    folder, random = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    rows = random.normal(size=(370, 3)).round(6)
    rows[360:] = rows[:10]
    (folder / "csv").mkdir()
    (folder / "yacht").mkdir()
    np.savetxt(folder / "csv" / "yacht.csv", rows, "%f", ",", header="a,b,y", comments="")
    for number in range(2):
        train = random.permutation(340)
        np.savetxt(folder / "yacht" / f"index_train_{number}.txt", train, "%d")
        np.savetxt(folder / "yacht" / f"index_test_{number}.txt", np.arange(340, 370), "%d")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, *options: str) -> None:
    given = ("--data", str(data), "--out", str(out), "--sets", "yacht", *options)
    monkeypatch.setattr(sys, "argv", ["uci", *given])
    main()


def test_a_run_that_is_begun_again_measures_what_is_missing_and_reports_all(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, page, all_figures = (tmp_path / name for name in ("out.jsonl", "page.md", "all.json"))
    run(monkeypatch, data, out, "--splits", "0", *QUICK)
    first = out.read_text()
    out.write_text(first + '\n{"set": "yacht", "spl')  # as a killed run may leave it
    capsys.readouterr()
    reports = ("--markdown", str(page), "--json", str(all_figures))
    run(monkeypatch, data, out, "--splits", "0", "1", *QUICK, *reports)
    printed = capsys.readouterr().out
    assert "yacht 1: rmse" in printed
    assert "yacht 0: rmse" not in printed
    lines = [json.loads(line) for line in out.read_text().split("\n") if line.endswith("}")]
    assert [(line["set"], line["split"]) for line in lines] == [("yacht", 0), ("yacht", 1)]
    assert lines[0] == json.loads(first.strip())
    assert all(line["calibration_rows"] == 19 and line["test_rows"] == 30 for line in lines)
    assert all(line["seen_before"] == pytest.approx(1 / 3) for line in lines)
    means = json.loads(all_figures.read_text())["means"]["yacht"]
    assert means["rmse"][0] == pytest.approx(np.mean([line["rmse"] for line in lines]))
    assert f"| yacht | 2 | {means['rmse'][0]:.3f} +- {means['rmse'][1]:.3f} | 0.66 |" in (
        page.read_text()
    )


def test_choosing_options_looks_at_no_test_row(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test rows with other targets change no figure of a run on validation rows."""
    other = tmp_path / "other"
    (other / "csv").mkdir(parents=True)
    (other / "yacht").symlink_to(data / "yacht")
    head, *rows = (data / "csv" / "yacht.csv").read_text().splitlines()
    changed = [f"{row.rpartition(',')[0]},1000" for row in rows[340:]]
    (other / "csv" / "yacht.csv").write_text("\n".join([head, *rows[:340], *changed]))
    found = []
    for folder, name in ((data, "a"), (other, "b")):
        out = tmp_path / f"{name}.jsonl"
        run(monkeypatch, folder, out, "--splits", "0", "--validation", *QUICK)
        found.append(json.loads(out.read_text().strip()))
        del found[-1]["seconds"]
    assert found[0] == found[1]


def test_weights_are_trained_again_as_validation_rows_have_chosen(data: Path) -> None:
    published = Published.read(data, "yacht", 0)
    given = TrainOptions(members=2, hidden=(4,), epochs=2)
    first = trained(published, cut(published.train), given)
    record = first.card.training
    assert isinstance(record, TrainingRecord)
    found = as_chosen(first.card, given)
    assert found.number_encoding in record.encodings
    assert {f"{rate:g}" for rate in found.dropout or ()} <= set(record.searched)
    again = retrained(published, first, given)
    assert len(again.networks) == 2
    assert all(network.config.dropout[1:] == found.dropout for network in again.networks)


def test_members_without_codes_are_trained_again_without_them(data: Path) -> None:
    published = Published.read(data, "yacht", 0)
    given = TrainOptions(members=2, hidden=(4,), epochs=2, number_encoding="mixed", dropout=(0.1,))
    first = trained(published, cut(published.train), given)
    again = retrained(published, first, given)
    codes = first.card.schema_of_rows.code_columns
    assert codes.any()
    for networks in (first.networks, again.networks):
        seen = [bool(network.linears()[0].weight[:, codes].any()) for network in networks]
        assert seen == [True, False]


def test_the_page_in_the_docs_is_that_of_the_lines_beside_the_benchmark() -> None:
    lines = read_lines(Path(report.__file__).with_name("measured.jsonl"))
    page = Path(__file__).parents[2] / "docs" / "uci.md"
    assert page.read_text() == report.markdown(lines)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_the_band_holds_what_split_conformal_covers_in_999_of_1000_draws(level: float) -> None:
    random = np.random.default_rng(0)
    calibration, test, draws = 39, 51, 20_000
    scores = np.sort(random.random((draws, calibration)))
    reach = scores[:, round((calibration + 1) * level) - 1]
    covered = random.binomial(test, reach)
    low, high = report.band(calibration, test, level)
    assert 0 < low < high <= test
    outside = np.mean((covered < low) | (covered > high))
    assert outside < 0.0025
    assert np.mean((covered <= low) | (covered >= high)) > 0.0005


@pytest.mark.skipif(
    "UCI_DATA" not in os.environ, reason="UCI_DATA does not name the folder of the published sets"
)
def test_two_splits_of_two_published_sets_are_as_good_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yacht and Boston, the smallest: not worse than the first published figures of dropout."""
    found, folder = tmp_path / "all.json", Path(os.environ["UCI_DATA"])
    options = ("bostonHousing", "--splits", "0", "1", "--passes", "1000", "--json", str(found))
    run(monkeypatch, folder, tmp_path / "out.jsonl", *options)
    document = json.loads(found.read_text())
    for name, rmse, log_likelihood in (("yacht", 1.11, -1.55), ("bostonHousing", 2.97, -2.46)):
        assert document["means"][name]["rmse"][0] < rmse
        assert document["means"][name]["log_likelihood"][0] > log_likelihood
    for line in document["splits"]:
        for level in (0.8, 0.9, 0.95):
            low, high = report.band(line["calibration_rows"], line["test_rows"], level)
            assert low <= line[f"covered_{level}"] <= high
