import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import model
from app.errors import LimitExceeded, NotReady, UnknownModel
from app.metrics import Metrics
from app.service import Answer, Service
from app.settings import Settings, SettingsError
from model import PredictOptions
from model.artifact.folder import Artifact, read, save
from model.artifact.records import ServingRecord

pytestmark = pytest.mark.anyio

ROWS = [{"area": 54.0, "rooms": 2.0, "quarter": "east"}]


def service_of(*folders: Path, **knobs: Any) -> Service:
    return Service(Settings(models=folders, **knobs), Metrics())


async def ask(service: Service, rows: list[Any], options: PredictOptions) -> Answer:
    prepared = service.prepare(service.admit(None), rows, options)
    return await service.predict(prepared)


async def test_a_service_predicts_between_its_start_and_its_stop(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(artifacts["regression"])

    async def predict() -> float:
        answer = await ask(service, ROWS, PredictOptions(seed=1))
        assert answer.card.name == "regression"
        return len(answer.predictions.rows)

    assert not service.ready
    with pytest.raises(NotReady):
        await predict()
    await service.start()
    assert service.ready
    assert await predict() == 1
    await service.stop()
    assert not service.ready
    with pytest.raises(NotReady):
        await predict()


async def test_before_the_models_are_loaded_there_is_nothing_to_list(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(*artifacts.values())
    for ask in (lambda: service.cards, lambda: service.default, lambda: service.card("regression")):
        with pytest.raises(NotReady):
            ask()
    service.load()
    assert list(service.cards) == ["regression", "two_targets", "binary", "multiclass"]
    assert service.default == "regression"
    assert service.card(None) is service.card("regression")
    assert not service.examples
    with pytest.raises(
        UnknownModel,
        match=r"'regresion' \(did you mean 'regression'\?\); there are regression, two_targets,",
    ):
        service.card("regresion")


async def test_every_example_is_a_row_that_its_model_accepts_and_the_answer_to_it(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(*artifacts.values())
    await service.start()
    assert set(service.examples) == set(artifacts)
    for name, folder in artifacts.items():
        example = service.examples[name]
        assert example.row == service.example_row(name)
        seed = example.answer.predictions.seed
        again = model.load(folder).predict([example.row], PredictOptions(seed=seed))
        assert again == example.answer.predictions
        assert not again.rows[0].warnings
        assert type(example.row["rooms"]) is int  # as in all training rows
    await service.stop()


async def test_predictions_have_one_named_thread(artifacts: dict[str, Path]) -> None:
    service = service_of(artifacts["regression"])

    def workers() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name.startswith("mcd-inference")]

    others = len(workers())
    await service.start()
    options = PredictOptions(passes=10)
    await asyncio.gather(*(ask(service, ROWS, options) for _ in range(20)))
    assert len(workers()) == others + 1
    await service.stop()
    assert len(workers()) == others


async def test_the_event_loop_runs_while_a_prediction_is_computed(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(artifacts["regression"])
    await service.start()
    options = PredictOptions(passes=2000)
    long = asyncio.create_task(ask(service, ROWS * 2000, options))
    turns = 0
    while not long.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert len((await long).predictions.rows) == 2000
    assert turns > 20
    await service.stop()


async def test_a_stop_waits_for_the_prediction_that_runs(artifacts: dict[str, Path]) -> None:
    service = service_of(artifacts["regression"])
    await service.start()
    options = PredictOptions(passes=1000)
    running = asyncio.create_task(ask(service, ROWS * 1000, options))
    await asyncio.sleep(0)
    await service.stop()
    assert len((await running).predictions.rows) == 1000


async def test_a_request_beyond_a_limit_is_refused_with_the_settings_name(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(
        artifacts["regression"], max_rows=4, max_passes=30, max_row_passes=60, max_samples=20
    )
    await service.start()
    for rows, options, field, setting in (
        (5, PredictOptions(passes=2), "rows", "MCD_MAX_ROWS"),
        (1, PredictOptions(passes=31), "passes", "MCD_MAX_PASSES"),
        (3, PredictOptions(passes=21), "passes", "MCD_MAX_ROW_PASSES"),
        (1, PredictOptions(passes=21, samples=True), "samples", "MCD_MAX_SAMPLES"),
    ):
        with pytest.raises(LimitExceeded, match=setting) as caught:
            await ask(service, ROWS * rows, options)
        assert caught.value.details[0].field == field
    options = PredictOptions(passes=20, samples=True)
    assert await ask(service, ROWS, options)
    assert await ask(service, ROWS * 3, PredictOptions(passes=20))
    await service.stop()


async def test_what_a_request_leaves_out_is_the_models_own_and_the_limits_see_it(
    artifacts: dict[str, Path], tmp_path: Path
) -> None:
    card, network, similarity, _ = read(artifacts["regression"])
    own = ServingRecord(passes=40, estimator="plain", masks="per_row")
    card = card.model_copy(update={"serving": own})
    save(tmp_path / "own", Artifact(card, network, similarity))
    service = service_of(tmp_path / "own", max_row_passes=119)
    await service.start()
    found = (await ask(service, ROWS, PredictOptions())).predictions
    assert (found.passes, found.estimator, found.masks) == (40, "plain", "per_row")
    with pytest.raises(LimitExceeded, match="120 rows x passes are more than 119"):
        await ask(service, ROWS * 3, PredictOptions())
    assert await ask(service, ROWS * 3, PredictOptions(passes=39))
    await service.stop()


async def test_bad_rows_are_refused_before_anything_is_computed(
    artifacts: dict[str, Path],
) -> None:
    service = service_of(artifacts["regression"])
    await service.start()
    before = service.metrics.registry.get_sample_value("mcd_inference_seconds_count")
    with pytest.raises(model.InputError) as caught:
        await ask(service, [{"area": 1}], PredictOptions())
    assert caught.value.details[0].field == "rows.0.rooms"
    assert service.metrics.registry.get_sample_value("mcd_inference_seconds_count") == before
    await service.stop()


def test_two_models_of_one_name_are_refused_naming_both(
    artifacts: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in artifacts["regression"].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(
        SettingsError, match=r"regression and .*copy both hold a model named 'regression'"
    ):
        service_of(artifacts["regression"], copy).load()


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(model.ArtifactError, match=str(tmp_path)):
        service_of(tmp_path).load()


def test_without_a_choice_the_shipped_models_are_served() -> None:
    service = service_of()
    service.load()
    assert list(service.cards) == [model.load(folder).card.name for folder in model.shipped()]
