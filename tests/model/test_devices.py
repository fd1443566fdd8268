"""One interface for CPU and CUDA.

Without a card, the `meta` device stands in: it has no numbers, but refuses to combine a tensor of
its own with one of the CPU, as CUDA does.
"""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from model import Estimator, MaskScope, PredictOptions, load, shipped
from model.passes import MLP, Batch, MLPConfig, PlainSampler, Recorder, ReducedSampler, Reduction

CONFIGS = [
    MLPConfig(8, (50, 50), 2, (0.0, 0.1, 0.1)),
    MLPConfig(8, (20,), 1, (0.2, 0.5)),
    MLPConfig(8, (30, 20, 10), 3, (0.0, 0.0, 0.3, 0.1), "tanh"),
    MLPConfig(8, (300, 300), 1, (0.0, 0.5, 0.5), "gelu"),
]
ON_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize("masks", get_args(MaskScope))
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_passes_stay_on_the_device_of_the_rows(
    estimator: Estimator, masks: MaskScope, config: MLPConfig
) -> None:
    with torch.device("meta"):
        network, x = MLP(config).requires_grad_(False), torch.empty(5, config.inputs)
        ids = torch.arange(5) if masks == "per_row" else None
    batch = Batch(x, 1, ids, recorder=Recorder(torch.arange(5)))
    with torch.inference_mode():
        if estimator == "plain":
            sampler = PlainSampler.of(network, batch, lambda outputs: outputs)
        else:
            sampler = ReducedSampler.of(network, batch, Reduction(network, 1))
        sampler.take(range(40))
        sampler.take(range(40, 100))
    assert batch.recorder
    assert {values.device.type for *_, values in batch.recorder.chunks} == {"meta"}


@ON_CUDA
@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize("masks", get_args(MaskScope))
@pytest.mark.parametrize("more", [{}, {"tolerance": 0.05}, {"samples": True}], ids=str)
def test_a_seed_has_the_same_numbers_on_cuda(
    folder: Path, estimator: Estimator, masks: MaskScope, more: dict[str, bool | float]
) -> None:
    options = PredictOptions(passes=300, seed=4, estimator=estimator, masks=masks, **more)  # type: ignore[arg-type]
    found = []
    for device in ("cpu", "cuda"):
        predictor = load(folder, device=device)
        x = np.random.default_rng(1).normal(size=(20, len(predictor.card.features)))
        found.append(predictor.predict_encoded(x.astype(np.float32), options).rows.columns)
    one, other = found
    assert one.keys() == other.keys()
    for name, column in one.items():
        if isinstance(column, np.ndarray) and column.dtype.kind == "f":
            assert np.allclose(column, other[name], rtol=2e-3, atol=1e-5 * np.abs(column).max())


@ON_CUDA
def test_values_and_blocks_are_those_of_the_cpu_on_cuda() -> None:
    folder = shipped()[0]
    cpu, cuda = (load(folder, device=device) for device in ("cpu", "cuda"))
    x = np.random.default_rng(1).normal(size=(6, len(cpu.card.features))).astype(np.float32)
    one, other = (each.values(x, passes=50, seed=3) for each in (cpu, cuda))
    assert np.allclose(one, other, atol=1e-4)
    blocks = [each.blocks(x, "plain", passes=20, count=3, seed=2) for each in (cpu, cuda)]
    for one_block, other_block in zip(*blocks, strict=True):
        assert np.allclose(one_block.mean, other_block.mean, atol=1e-4)
