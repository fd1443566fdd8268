"""The passes as users write them, for the servers that ours is measured beside."""

from pathlib import Path

import numpy as np
import torch

import model

PASSES = 100


class Passes:
    """A model in training mode, and the scaling of its inputs."""

    def __init__(self, folder: str) -> None:
        torch.set_num_threads(1)
        self._predictor = model.load(Path(folder))
        self._module = self._predictor.module().train()

    def batched(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance [B] of rows [B, D]: one pass over N copies of the rows."""
        x = torch.from_numpy(self._predictor.encode(rows.tolist()))
        with torch.inference_mode():
            outputs = self._module(x.repeat(PASSES, 1)).view(PASSES, len(x))
            return outputs.mean(0).numpy(), outputs.var(0).numpy()

    def looped(self, rows: list[list[float]]) -> tuple[list[float], list[float]]:
        """The same, one pass after another."""
        x = torch.from_numpy(self._predictor.encode(rows))
        with torch.inference_mode():
            outputs = torch.stack([self._module(x)[:, 0] for _ in range(PASSES)])
            return outputs.mean(0).tolist(), outputs.var(0).tolist()
