"""No company changes a row: batch mates, blocks, threads, other callers, global random states."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from model import Estimator, MaskScope, PredictOptions, Predictor, load
from model.artifact.folder import read
from model.estimation import ROWS_AT_ONCE
from model.passes.chunks import run
from tests.model.answers import HOUSE, HOUSES, close, numbers


@pytest.mark.parametrize("estimator", get_args(Estimator))
def test_with_shared_masks_a_row_has_the_numbers_that_it_has_alone(
    artifact: Path, estimator: Estimator
) -> None:
    predictor = load(artifact)
    options = PredictOptions(passes=40, seed=3, estimator=estimator)
    together = predictor.predict(HOUSES * 30, options).rows
    for number, row in enumerate(HOUSES):
        alone = predictor.predict([row], options).rows[0]
        for copy in together[number::3]:
            assert close(copy, alone)


def test_with_fresh_masks_equal_rows_have_different_numbers(artifact: Path) -> None:
    options = PredictOptions(passes=20, seed=3, masks="per_row", estimator="plain")
    found = load(artifact).predict([HOUSE] * 10, options).rows
    assert len({tuple(numbers(row.mean)) for row in found}) == 10


@pytest.mark.parametrize("masks", get_args(MaskScope))
def test_blocks_of_a_large_request_are_seamless(
    regression_artifact: Path, masks: MaskScope
) -> None:
    """2,500 rows, each against its own passes run by themselves."""
    predictor = load(regression_artifact)
    x = np.random.default_rng(0).normal(size=(2500, 5)).astype(np.float32)
    options = PredictOptions(passes=10, seed=8, masks=masks, estimator="plain", samples=True)
    found = predictor.predict_encoded(x, options).rows
    assert len(found) == 2500
    _, (network,), *_ = read(regression_artifact)
    scale, mean = predictor.card.target.scales[0], predictor.card.target.means[0]
    for row in (0, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE, 2499):
        number = torch.tensor([row]) if masks == "per_row" else None
        alone = run(network, torch.from_numpy(x[[row]]), 8, passes=range(10), row_ids=number)
        expected = torch.cat(list(alone))[:, 0, 0].double().numpy() * scale + mean
        assert found[row].samples == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_block_of_any_size_gives_the_same_numbers(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load(artifact)
    for masks in get_args(MaskScope):
        options = PredictOptions(passes=10, seed=8, masks=masks)
        whole = predictor.predict(HOUSES * 3, options)
        with monkeypatch.context() as patch:
            for name in ("ROWS_AT_ONCE", "KERNEL_ROWS_AT_ONCE"):
                patch.setattr(f"model.estimation.{name}", 2)
            assert close(predictor.predict(HOUSES * 3, options), whole)


def test_a_row_stops_where_it_would_alone_once_its_error_is_below_the_tolerance(
    artifact: Path,
) -> None:
    predictor = load(artifact)
    options = PredictOptions(passes=8000, seed=1, tolerance=0.1, estimator="plain")
    answer = predictor.predict(HOUSES, options)
    assert answer.stopped == "tolerance"
    assert answer.passes == max(row.passes for row in answer.rows) < 8000
    for row, house in zip(answer.rows, HOUSES, strict=True):
        assert close(predictor.predict([house], options).rows[0], row)
        fixed = PredictOptions(passes=row.passes, seed=1, estimator="plain")
        assert close(predictor.predict([house], fixed).rows[0], row)


@pytest.mark.parametrize("passes", [2, 3, 40])
def test_too_few_passes_for_the_tolerance_are_said_to_be(
    regression_artifact: Path, passes: int
) -> None:
    options = PredictOptions(passes=passes, seed=1, tolerance=0.01, estimator="plain")
    answer = load(regression_artifact).predict(HOUSES, options)
    assert (answer.stopped, answer.passes) == ("passes", passes)


@pytest.mark.parametrize("masks", get_args(MaskScope))
def test_the_number_of_threads_changes_no_answer(
    artifact: Path,
    masks: MaskScope,
    torch_threads: None,  # noqa: ARG001  puts the number back
) -> None:
    predictor, answers = load(artifact), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(
            predictor.predict(HOUSES * 100, PredictOptions(passes=50, seed=1, masks=masks))
        )
    assert list(numbers(answers[0])) == pytest.approx(list(numbers(answers[1])), rel=1e-6, abs=1e-9)


def test_eight_threads_at_once_get_what_each_gets_alone(artifact: Path) -> None:
    predictor = load(artifact)
    asked = [PredictOptions(passes=50 + seed, seed=seed) for seed in range(8)]
    alone = [predictor.predict(HOUSES, options) for options in asked]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            found = pool.map(lambda options: predictor.predict(HOUSES, options), asked)
            assert all(map(close, found, alone))


def test_predicting_neither_reads_nor_sets_the_global_random_states(artifact: Path) -> None:
    predictor, answers = load(artifact), []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        answers.append(predictor.predict(HOUSES, PredictOptions(seed=5, masks="per_row")))
        predictor.predict(HOUSES)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
    assert answers[0] == answers[1]


def test_predicting_changes_nothing_in_the_model(artifact: Path) -> None:
    (card, network, *_), (_, before, *_) = read(artifact), read(artifact)
    predictor = Predictor(card, network)
    predictor.predict(HOUSES, PredictOptions(samples=True))
    assert all(map(torch.equal, network.parameters(), before.parameters()))
    x = predictor.encode(HOUSES)
    kept = x.copy()
    predictor.predict_encoded(x, PredictOptions())
    assert np.array_equal(x, kept)
