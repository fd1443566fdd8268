"""A FastAPI route of the service's own schemas that computes nothing: the yardstick."""

import socket
import sys

import uvicorn
from fastapi import FastAPI

from app.native.schemas import PredictRequest, PredictResponse

app = FastAPI()


@app.post("/predict", response_model_exclude_none=True)
async def predict(request: PredictRequest) -> PredictResponse:
    """The same for everybody."""
    number = dict.fromkeys(("mean", "variance", "std", "mean_error", "variance_error"), 1.5)
    row = {
        **number,
        "deterministic": 1.5,
        "noise_variance": 1.5,
        "total_variance": 3.0,
        "interval": {"coverage": 0.9, "lower": 1.0, "upper": 2.0, "method": "normal"},
        "distance": 1.5,
        "distance_p_value": 1.0,
        "spread_p_value": 1.0,
        "passes": request.passes or 100,
        "warnings": (),
    }
    return PredictResponse.model_validate(
        {
            "model": {"name": "constant", "version": "0"},
            "task": "regression",
            "passes": request.passes or 100,
            "stopped": "passes",
            "seed": 1,
            "estimator": request.estimator or "reduced",
            "masks": request.masks or "shared",
            "predictions": [row] * len(request.rows),
        }
    )


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="httptools", access_log=False, log_level="error")
    uvicorn.Server(config).run([listener])
    sys.exit(0)
