"""A plain FastAPI route around one batched call: `batched.py FOLDER`; it prints its URL."""

import socket
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import model

app = FastAPI()
predictor = model.load(sys.argv[1])
module = predictor.module().train()


class Request(BaseModel):
    """Rows by feature name, as our own service takes them."""

    rows: list[dict[str, float]]
    passes: int = 100


class Response(BaseModel):
    """A number per row."""

    mean: list[float]
    variance: list[float]


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Mean and variance over the passes, which run as one batch."""
    x = torch.from_numpy(predictor.encode(request.rows))
    with torch.inference_mode():
        y = module(x.repeat(request.passes, 1)).view(request.passes, len(x), -1)[..., 0]
        variance, mean = torch.var_mean(y, 0)
    return Response(mean=mean.tolist(), variance=variance.tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="httptools", access_log=False, log_level="error")
    uvicorn.Server(config).run([listener])
