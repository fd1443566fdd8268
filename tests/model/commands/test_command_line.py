"""The command line: exit code 0 when done; 2 and one line for a user's mistake."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import Table, TrainOptions, load, train
from model.commands import main
from model.commands.describe import describe
from model.commands.progress import ProgressBar
from model.messages import readable

TRAINING = ["--epochs", "2", "--hidden", "4"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CSV file of 40 rows: area, quarter, floor, id, price."""
    random = np.random.default_rng(0)
    lines = ["area,quarter,floor,id,price"]
    for row in range(40):
        area = round(random.uniform(30, 150), 1)
        quarter = ["east", "north"][row % 2]
        lines.append(f"{area},{quarter},{row % 3},x{row},{3 * area + 20 * (row % 2):.1f}")
    path = tmp_path / "flats.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def trained(data: Path, *options: str) -> int:
    out = data.with_name("out")
    needed = ["train", str(data), "--target", "price", "--out", str(out), "--drop", "id", "--force"]
    return main([*needed, *TRAINING, *options])


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command says, in one line on the error stream."""
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def misuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What argparse says of a command that it does not understand."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_train_writes_an_artifact_and_says_how_good_it_is_and_how_to_serve_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(data, "--name", "flats", "--seed", "3", "--dropout", "0.25") == 0
    printed = capsys.readouterr().out
    out = data.with_name("out")
    card = load(out).card
    assert (card.name, card.training.seed, card.architecture.hidden) == ("flats", 3, (4,))
    assert card.architecture.dropout == (0.0, 0.25)
    assert [feature.name for feature in card.features] == ["area", "quarter", "floor"]
    assert "rmse" in printed
    assert f"{readable(card.metrics['rmse'])}" in printed
    assert f"python -m app --model {out}" in printed


def test_a_model_that_exists_is_replaced_with_force_only_and_kept_if_training_fails(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(data) == 0
    out = data.with_name("out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    needed = ["train", str(data), "--target", "price", "--out", str(out), "--drop", "id"]
    said = mistake(capsys, *needed, *TRAINING)
    assert "holds a model already" in said
    assert "--force" in said
    assert main([*needed, *TRAINING, "--force", "--learning-rate", "1e30"]) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert main([*needed, *TRAINING, "--force", "--seed", "5"]) == 0
    assert load(out).card.training.seed == 5


def test_train_and_show_say_what_baselines_reach_and_a_verdict(
    houses: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = train(
        houses, "price", tmp_path / "m", drop=["dear", "worth"], options=TrainOptions(epochs=2)
    )
    assert main(["show", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    for name, each in card.baselines.items():
        assert f"  baseline   {name}: rmse {readable(each.metrics['rmse'])}" in printed
    assert "r2 " in printed
    assert "  verdict    By RMSE, " in printed
    assert card.baselines["linear model"].metrics["r2"] > 0.9  # prices are linear in area and rooms
    area = houses.columns["area"]
    (line,) = (line for line in printed.split("\n") if line.startswith("    area"))
    assert "number, " in line
    assert float(line.split()[2]) >= float(readable(area.min()))
    assert "text: east, north, south" in printed


def test_show_tells_the_version_alone_for_scripts_and_the_program_its_own(
    artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(artifact), "--version"]) == 0
    assert capsys.readouterr().out == f"{load(artifact).card.version}\n"
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"python -m model \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_dropout_rates_are_given_searched_or_learned(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(data, "--dropout", "search") == 0
    card = load(data.with_name("out")).card
    tried = [f"dropout {rate}: {readable(value)}" for rate, value in card.training.searched.items()]
    assert f"searched   {', '.join(tried)} (mean log-likelihood of" in capsys.readouterr().out
    assert trained(data, "--dropout", "learn", "--epochs", "5") == 0
    card = load(data.with_name("out")).card
    assert card.architecture.dropout[1] not in (0, 0.1)
    assert f"dropout 0, {card.architecture.dropout[1]:g} (input first)" in capsys.readouterr().out
    arguments = ("train", str(data), "--target", "price", "--out", "x", "--dropout", "learned")
    assert "no list of rates like 0.1,0.2, nor 'search' or 'learn'" in misuse(capsys, *arguments)


def test_every_training_option_reaches_the_card(data: Path) -> None:
    options = {
        "--members": "2",
        "--number-encoding": "mixed",
        "--hidden": "6,5",
        "--dropout": "0.1,0.2",
        "--input-dropout": "0.05",
        "--input-noise": "0.3",
        "--activation": "tanh",
        "--epochs": "3",
        "--patience": "2",
        "--batch": "7",
        "--learning-rate": "0.02",
        "--weight-decay": "0.001",
        "--categorical": "floor",
    }
    assert trained(data, "--no-refit", *(part for pair in options.items() for part in pair)) == 0
    card = load(data.with_name("out")).card
    assert card.architecture.model_dump() == {
        "hidden": (6, 5),
        "activation": "tanh",
        "dropout": (0.05, 0.1, 0.2),
        "input_noise": 0.3,
        "before": (),
        "after": (),
        "members": 2,
    }
    assert card.training.settings == {
        "number_encoding": "mixed",
        "epochs": 3,
        "patience": 2,
        "batch": 7,
        "learning_rate": 0.02,
        "weight_decay": 0.001,
        "refit": False,
    }
    assert card.features[2].kind == "categorical"


def test_show_tells_the_card_in_words(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(artifact)]) == 0
    printed = capsys.readouterr().out
    card = load(artifact).card
    assert printed == describe(card) + "\n"
    for word in (card.name, card.version, card.task, *card.target.names, *card.target.classes):
        assert word in printed
    for feature in card.features:
        assert feature.name in printed
    for name, value in card.metrics.items():
        assert f"{name} {readable(value)}" in printed
    assert "16-16 relu, dropout 0, 0.2, 0.2" in printed


def test_a_bad_cell_is_placed_by_file_row_column_and_value(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.write_text(data.read_text().replace("\n", "\nforty,north,1,x,50\n", 1))
    said = mistake(capsys, "train", str(data), "--target", "price", "--out", "o", "--drop", "id")
    for part in ("flats.csv", "row 1", "line 2", "'area'", "'forty'"):
        assert part in said


def test_a_dropped_column_may_hold_anything(data: Path) -> None:
    data.write_text(data.read_text().replace("\n", "\nforty,north,1,x,50\n", 1))
    assert trained(data, "--drop", "id,area") == 0


def test_without_a_terminal_training_tells_each_phase_in_a_line(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(data) == 0
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("choosing the encoding and the dropout rate: epoch 1 of 2, negative")
    assert " on validation rows" in first
    assert last.startswith("final training: epoch 1 of 2, negative log-likelihood ")


def test_ctrl_c_in_training_keeps_the_best_so_far_and_says_so(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "show", interrupt)
    assert trained(data) == 0
    assert "interrupted after epoch 1" in capsys.readouterr().out
    assert load(data.with_name("out")).card.training.epochs == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dropout", "1.5"], ("dropout", "1.5")),
        (["--dropout", "0.1,0.1"], ("dropout", "not 2")),
        (["--input-dropout", "-1"], ("dropout", "-1")),
        (["--activation", "swish"], ("activation", "'swish'", "gelu")),
        (["--epochs", "0"], ("epochs", "0")),
        (["--learning-rate", "nan"], ("--learning-rate: ", "nan")),
        (["--seed", "-1"], ("seed", "-1")),
        (["--hidden", "0"], ("hidden", "0")),
        (["--name", "a b"], ("name", "'a b'")),
        (["--target", "prise"], ("flats.csv", "'prise'", "price")),
        (["--target", ","], ("','", "flats.csv")),
        (["--calibrate-by", "quater"], ("--calibrate-by: ", "(did you mean 'quarter'?)")),
        (["--drop", "idd"], ("flats.csv", "'idd'", "id")),
        (["--categorical", "aera"], ("flats.csv", "'aera'", "area")),
        (["--task", "binary"], ("price", "binary")),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(
    data: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: tuple[str, ...]
) -> None:
    needed = ["train", str(data), "--target", "price", "--out", str(data.with_name("out"))]
    line = mistake(capsys, *needed, "--drop", "id", *TRAINING, *options)
    for part in said:
        assert part in line
    assert not data.with_name("out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hidden", "4,x"], "argument --hidden: '4,x' is no list of widths"),
        (["--dropout", "much"], "argument --dropout: 'much' is no list of rates"),
        (["--epochs", "many"], "argument --epochs"),
        (["--task", "ranking"], "argument --task"),
        (["--missing", "guess"], "argument --missing"),
    ],
)
def test_a_malformed_option_is_shown_with_the_usage(
    data: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    needed = ["train", str(data), "--target", "price", "--out", "out"]
    printed = misuse(capsys, *needed, *options)
    assert "usage: python -m model train" in printed
    assert said in printed


def test_files_and_folders_that_will_not_do_are_one_line(
    data: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["--target", "price", "--drop", "id", *TRAINING, "--out"]
    assert "No such file" in mistake(capsys, "train", "none.csv", *train, "out")
    assert "'.txt'" in mistake(capsys, "train", "none.txt", *train, "out")
    assert "no example 'cats'" in mistake(capsys, "train", "example:cats", *train, "out")
    assert "is not a model" in mistake(capsys, "train", str(data), *train, str(data.parent))
    below = str(data / "out")
    assert "cannot be written" in mistake(capsys, "train", str(data), *train, below)
    assert "card.json" in mistake(capsys, "show", str(data.parent))
    assert "card.json" in mistake(capsys, "show", str(artifact / "nowhere"))


def test_a_damaged_artifact_is_one_line(
    regression_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("card.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((regression_artifact / name).read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    card["metrics"]["rmse"] = 0.0
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert "was changed after it was written" in mistake(capsys, "show", str(tmp_path))


@pytest.mark.parametrize("command", ["train", "import", "calibrate", "evaluate", "show"])
def test_help_of_every_command_has_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert f"examples:\n  python -m model {command} " in printed


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in misuse(capsys)
    assert "invalid choice" in misuse(capsys, "bake")
    assert "--colour" in misuse(capsys, "show", "out", "--colour", "red")


def test_a_mistyped_command_option_or_choice_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "(did you mean 'train'?)" in misuse(capsys, "trian")
    assert "(did you mean '--report'?)" in misuse(capsys, "evaluate", "a", "b", "--reprot", "c")
    needed = ("train", "a.csv", "--target", "y", "--out", "o")
    assert "(did you mean 'multiclass'?)" in misuse(capsys, *needed, "--task", "multi-class")


def test_the_module_runs_as_a_program(regression_artifact: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "model", "show"]
    done = subprocess.run([*program, str(regression_artifact)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("regression (version ")
    failed = subprocess.run([*program, str(tmp_path)], capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP alone shows what it found")
def test_idle_threads_of_the_program_sleep() -> None:
    program, shown = [sys.executable, "-m", "model", "--version"], {"OMP_DISPLAY_ENV": "verbose"}
    own = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(program, capture_output=True, text=True, env=own | shown)
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
