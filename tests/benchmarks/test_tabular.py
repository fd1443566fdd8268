"""The comparison with other methods, in small: its bookkeeping, and its own measures."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from model.formulas.scores import gaussian_crps
from tests.benchmarks.bookkeeping import read_lines
from tests.benchmarks.tabular import peers, report
from tests.benchmarks.tabular.__main__ import main
from tests.benchmarks.tabular.generated import LAWS, SPLITS, TEST_ROWS, write
from tests.benchmarks.tabular.measures import LEVELS, Law, calibrated, equal_width, quantile_crps
from tests.benchmarks.tabular.sets import Rows, case, found

QUICK = ("--option", "epochs=2", "hidden=(4,)")
NOISE = 0.5
QUANTILES = [NormalDist().inv_cdf(float(level)) for level in LEVELS]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression with published splits, linear in its inputs, and three classes."""
    folder, random = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    x = random.normal(size=(400, 2))
    y = x @ [2, -1] + NOISE * random.normal(size=400)
    (folder / "csv").mkdir()
    (folder / "slope").mkdir()
    rows = np.column_stack([x, y])
    np.savetxt(folder / "csv" / "slope.csv", rows, "%f", ",", header="a,b,y", comments="")
    for number in range(2):
        order = random.permutation(400)
        np.savetxt(folder / "slope" / f"index_train_{number}.txt", order[:300], "%d")
        np.savetxt(folder / "slope" / f"index_test_{number}.txt", order[300:], "%d")
    lines = ["size,colour,kind"]
    for at in range(240):
        size = "" if at % 20 == 0 else f"{at % 3 + random.normal() / 3:.3f}"
        lines.append(f"{size},{('red', 'blue')[at % 2]},{('cat', 'dog', 'owl')[at % 3]}")
    (folder / "kinds.csv").write_text("\n".join(lines))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, *options: str) -> None:
    given = (str(data), "--json", str(out), *QUICK, *options)
    monkeypatch.setattr(sys, "argv", ["tabular", *given])
    main()


def test_a_run_that_is_begun_again_measures_what_is_missing_and_says_who_wins(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(peers, "STEPS", 5)
    out, page = tmp_path / "out.jsonl", tmp_path / "page.md"
    methods = ("--methods", "ours", "linear", "boosted quantiles")
    run(monkeypatch, data, out, "--splits", "1", *methods)
    first = out.read_text()
    out.write_text(first + '\n{"set": "slope", "spl')  # as a killed run may leave it
    capsys.readouterr()
    run(monkeypatch, data, out, "--splits", "2", *methods, "--markdown", str(page))
    printed = capsys.readouterr().out
    assert "slope 1, linear: rmse" in printed
    assert "slope 0, linear: rmse" not in printed
    assert "kinds 1, boosted quantiles is left out: not for 3 classes" in printed
    lines = [json.loads(line) for line in out.read_text().split("\n") if line.endswith("}")]
    keys = [(line["set"], line["split"], line["method"]) for line in lines]
    assert sorted(keys) == sorted(
        (name, split, method)
        for split in range(2)
        for name, ways in (("slope", methods[1:]), ("kinds", methods[1:3]))
        for method in ways
    )
    linear = [line for line in lines if line["method"] == "linear" and line["set"] == "slope"]
    for line in linear:
        assert line["rmse"] == pytest.approx(NOISE, rel=0.2)
        assert 0.8 <= line["coverage"] <= 1
    for line in lines:
        assert 0 <= line.get("accuracy", 0) <= 1
        assert line["train_seconds"] > 0
    losses = next(row for row in page.read_text().split("\n") if row.startswith("| RMSE |"))
    assert losses == "| RMSE | 1 | 0 | 0 | 1 | 0% |  | slope (linear) |"


@pytest.mark.parametrize(
    ("name", "page"), [("measured.jsonl", "tabular.md"), ("generated.jsonl", "generated.md")]
)
def test_a_page_in_the_docs_is_that_of_the_lines_beside_the_benchmark(name: str, page: str) -> None:
    lines = read_lines(Path(report.__file__).with_name(name))
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    title = text.partition("\n")[0].removeprefix("# ")
    assert text == report.markdown(lines, title)


def test_each_split_of_a_law_learns_other_rows_and_is_judged_by_the_same(tmp_path: Path) -> None:
    write(tmp_path)
    files = found(tmp_path)
    assert set(files) == {*LAWS, "diabetes"}
    name, law = "parabola-150", LAWS["parabola-150"]
    cases = [case(files[name], number) for number in range(SPLITS)]
    learned = [np.append(one.split.seen(refit=True), one.split.calibration) for one in cases]
    assert {len(rows) for rows in learned} == {law.rows}
    every = np.concatenate([*learned, cases[0].split.test])
    assert len(np.unique(every)) == len(every) == cases[0].table.row_count
    assert all(np.array_equal(one.split.test, cases[0].split.test) for one in cases)
    assert cases[0].rows_used == law.rows + TEST_ROWS
    assert cases[0].x.shape[1] == law.inputs
    assert cases[0].task == "regression"


def test_the_laws_have_the_noise_that_they_are_described_by() -> None:
    """Of the best predictor, the law itself without noise, the errors are the noise."""
    x = np.random.default_rng(5).normal(size=(20_000, 12))
    for name, share in (("noise-8000", 0.75), ("friedman-800", 1 / 25)):
        law = LAWS[name]
        inputs = x[:, : law.inputs]
        first, second = (law.target(inputs, np.random.default_rng(seed)) for seed in (6, 7))
        noise = np.var(first - second) / 2
        assert noise / first.var() == pytest.approx(share, rel=0.15)


def test_a_set_that_the_folder_lacks_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="the sets are slope, kinds"):
        run(monkeypatch, data, tmp_path / "out.jsonl", "--sets", "hills")


def test_a_method_that_fails_is_left_out_and_said_to_be(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = replace(peers.PEERS["linear"], grid=[{"alpha": -1.0}])  # which scikit-learn refuses
    monkeypatch.setitem(peers.PEERS, "linear", wrong)
    out, options = tmp_path / "out.jsonl", ("--sets", "slope", "kinds", "--splits", "1")
    run(monkeypatch, data, out, *options, "--methods", "linear", "forest")
    assert "slope 0, linear is left out: it fails: The 'alpha' parameter" in capsys.readouterr().out
    done = {
        (line["set"], line["method"]) for line in map(json.loads, out.read_text().split("\n")[1:])
    }
    assert done == {("slope", "forest"), ("kinds", "forest")}


@pytest.mark.parametrize("name", ["csv/slope.csv", "kinds.csv"])
def test_the_inputs_of_a_split_know_nothing_of_its_other_rows(data: Path, name: str) -> None:
    one = case(data / name, 0)
    parts = [getattr(one.split, part) for part in ("train", "validation", "calibration", "test")]
    assert len(set(np.concatenate(parts))) == sum(map(len, parts)) == one.table.row_count
    seen, numeric = one.rows("seen"), slice(0, 2 if one.task == "regression" else 1)
    assert np.abs(seen.x[:, numeric].mean(axis=0)).max() < 1e-9
    assert np.isfinite(one.x).all()


def test_widths_at_equal_coverage_do_not_depend_on_what_the_intervals_claim() -> None:
    random = np.random.default_rng(1)
    y, half = random.normal(size=500), random.uniform(0.5, 2, 500)
    width = equal_width(-half, half, y)
    assert equal_width(-3 * half, 3 * half, y) == pytest.approx(width)
    factor = width / np.mean(2 * half)
    assert np.mean(np.abs(y) <= factor * half * (1 + 1e-9)) == 0.9


def test_the_crps_of_quantiles_is_that_of_their_law() -> None:
    y = np.random.default_rng(2).normal(size=300)
    of_quantiles = quantile_crps(np.tile(QUANTILES, (300, 1)).T, y)
    assert of_quantiles == pytest.approx(gaussian_crps(np.zeros(300), np.ones(300), y), rel=0.02)


def test_calibration_rows_set_one_factor_of_all_stds_and_the_intervals() -> None:
    y = np.random.default_rng(3).normal(scale=3, size=4_000)
    law = Law(np.zeros(4_000), np.ones(4_000))
    by_std = calibrated(law, law, y)
    assert by_std.std == pytest.approx(np.full(4_000, 3), rel=0.05)
    own = Law(law.mean, law.std, law.mean - 9, law.mean + 9)  # far too wide
    for said in (by_std, calibrated(own, own, y)):
        assert np.mean((said.lower <= y) & (y <= said.upper)) == pytest.approx(0.9, abs=0.001)


def test_a_forest_knows_the_law_of_noise_that_grows() -> None:
    random = np.random.default_rng(4)
    x = random.uniform(0, 1, (3_000, 1))
    rows = Rows(x, (0.1 + x[:, 0]) * random.normal(size=3_000))
    law = peers.forest(rows, None, {"min_samples_leaf": 50, "max_features": 1.0}).predict(
        np.array([[0.1], [0.9]])
    )
    assert law.std == pytest.approx(np.array([0.2, 1.0]), rel=0.25)
    assert law.upper is not None
    assert law.upper - law.mean == pytest.approx(1.645 * law.std, rel=0.35)
