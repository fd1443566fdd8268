"""The model as a runtime of MLServer: `mlserver start` with a folder that names it."""

import os

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from tests.benchmarks.peers.passes import Passes


class Host(MLModel):  # type: ignore[misc]  # MLServer is not there where this is checked
    """One tensor of rows a request; MLServer puts the rows of several together."""

    async def load(self) -> bool:
        """Load the model, in the process that computes."""
        self.passes = Passes(os.environ["PEER_FOLDER"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Mean and variance as tensors [B, 1]."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        mean, variance = self.passes.batched(rows)
        outputs = [
            NumpyCodec.encode_output("mean", mean[:, None]),
            NumpyCodec.encode_output("variance", variance[:, None]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
