"""A plain FastAPI route that loops over the passes: `loop.py FOLDER PORT`."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.benchmarks.peers.passes import Passes

app = FastAPI()
passes = Passes(sys.argv[1])


class Request(BaseModel):
    """Rows in the card's order."""

    rows: list[list[float]]


class Response(BaseModel):
    """A number per row."""

    mean: list[float]
    variance: list[float]


@app.post("/predict")
def predict(request: Request) -> Response:
    """Mean and variance over the passes."""
    mean, variance = passes.looped(request.rows)
    return Response(mean=mean, variance=variance)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error")
