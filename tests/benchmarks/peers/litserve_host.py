"""The model behind LitServe, batched: `litserve_host.py FOLDER PORT`."""

import sys
from typing import Any

import litserve
import numpy as np

from tests.benchmarks.peers.passes import Passes

LARGEST_BATCH = 64
WAIT_SECONDS = 0.002


class Host(litserve.LitAPI):  # type: ignore[misc]  # LitServe is not there where this is checked
    """One row a request."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model, in the process that computes."""
        self.passes = Passes(sys.argv[1])

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """The row [D]."""
        return np.array(request["rows"][0], dtype=np.float64)

    def predict(self, x: np.ndarray) -> list[tuple[float, float]]:
        """Mean and variance of each of the rows [B, D]."""
        return list(zip(*self.passes.batched(x), strict=True))

    def encode_response(self, output: tuple[float, float]) -> dict[str, float]:
        """The answer."""
        return {"mean": float(output[0]), "variance": float(output[1])}


if __name__ == "__main__":
    api = Host(max_batch_size=LARGEST_BATCH, batch_timeout=WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
