"""An MLflow model predicts what the model predicts, by frames and by params."""

import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from model import ArtifactError, PredictOptions, Predictor, export_mlflow, load, log_model
from model.commands import main
from tests.model.exporting.test_onnx_file import MODELS
from tests.model.importing.networks import rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*type hint is inferred:UserWarning"),  # at its import
    pytest.mark.filterwarnings("ignore:Operation with range:DeprecationWarning"),  # its pandas
]
COLUMNS = ["area", "rooms", "quarter"]
FRAME = pd.DataFrame(rows(5, 1)[0], columns=COLUMNS).astype({"rooms": int})


@pytest.fixture
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # skinny has no database


@pytest.mark.usefixtures("_store")
def test_a_logged_model_predicts_as_the_model_with_the_params_of_a_request() -> None:
    predictor = MODELS["ReLU"]()
    with mlflow.start_run():
        info = log_model(predictor, "flats", tags={"city": "Ulm"})
    assert info.signature.inputs.input_names() == COLUMNS
    served = mlflow.pyfunc.load_model(info.model_uri)
    params = {"passes": 20, "seed": 1, "coverage": 0.8, "estimator": "plain"}
    expected = predictor.predict(FRAME, PredictOptions(**params)).to_pandas()
    pd.testing.assert_frame_equal(served.predict(FRAME, params=params), expected)
    assert list(expected) == info.signature.outputs.input_names()
    defaults = {each.name: each.default for each in info.signature.params}
    assert (defaults["passes"], defaults["coverage"], defaults["seed"]) == (100, 0.9, None)
    assert len(served.predict(FRAME.to_dict("records"))) == 5
    with pytest.raises(Exception, match=r"feature 'quarter' has the unknown category 'south'"):
        served.predict(FRAME.assign(quarter="south"))
    with pytest.raises(Exception, match=r"passes: must be a whole number, 2 or more, not 1"):
        served.predict(FRAME, params={"passes": 1})


def test_a_classifier_is_exported_by_the_command_and_nothing_is_pickled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = MODELS["classes"]()
    predictor.save(tmp_path / "size")
    out = tmp_path / "mlflow"
    assert main(["export", str(tmp_path / "size"), "--mlflow", str(out)]) == 0
    assert capsys.readouterr().out == f"saved to {out}\n"
    assert not [path for path in out.rglob("*") if path.suffix in (".pkl", ".pickle")]
    kept = load(out / "artifacts" / "Sequential").card
    assert kept.version == load(tmp_path / "size").card.version
    served = mlflow.pyfunc.load_model(str(out))
    options = PredictOptions(seed=3, label_set="aps")
    expected = predictor.predict(FRAME, options).to_pandas()
    found = served.predict(FRAME, params={"seed": 3, "label_set": "aps"})
    pd.testing.assert_frame_equal(found, expected)
    refuse_another(predictor, out)
    assert main(["export", str(tmp_path / "size"), "--mlflow", str(out)]) == 2
    assert "is there already; choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["onnx", "mlflow"])
def test_without_its_package_a_form_says_what_to_install(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MODELS["ReLU"]().save(tmp_path / "flats")
    monkeypatch.setitem(sys.modules, form, None)  # as if it were not installed
    assert main(["export", str(tmp_path / "flats"), f"--{form}", str(tmp_path / "out")]) == 2
    said = f'need the package {form}: pip install "mc-dropout-service[{form}]"\n'
    assert capsys.readouterr().err.endswith(said)


def refuse_another(predictor: Predictor, folder: Path) -> None:
    with pytest.raises(ArtifactError, match="is there already"):
        export_mlflow(predictor, folder)
