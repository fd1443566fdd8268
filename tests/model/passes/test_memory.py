"""Passes by torch take the memory of their chunks, however many they are."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from model import Estimator

PROCESSES = 3  # where memory lies differs from process to process
SCRIPT = """if True:
    import re, sys, torch
    from pathlib import Path
    from model.passes import Batch, MLPConfig, PlainSampler, ReducedSampler, Reduction, sample
    from model.training.fit import initialised
    torch.set_num_threads(1)
    config = MLPConfig(inputs=5, hidden=(16,), outputs=1, dropout=(0.1, 0.1))
    network = initialised(config, torch.Generator()).requires_grad_(False)
    with torch.inference_mode():
        for passes in (3_000, 60_000):
            batch = Batch(torch.zeros(64, 5), 0)
            if sys.argv[1] == "plain":
                sample(PlainSampler.of(network, batch, lambda outputs: outputs), passes)
            else:
                sample(ReducedSampler.of(network, batch, Reduction(network)), passes)
            print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    """


def peaks(estimator: str) -> tuple[int, int]:
    """Peak memory of a process after 3,000 passes and after 60,000 more, in KiB."""
    command = [sys.executable, "-c", SCRIPT, estimator]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    return few, many


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a process")
@pytest.mark.parametrize("estimator", get_args(Estimator))
def test_memory_does_not_grow_with_the_number_of_passes(estimator: str) -> None:
    with ThreadPoolExecutor() as threads:
        for few, many in threads.map(peaks, [estimator] * PROCESSES):
            assert many <= 1.05 * few
