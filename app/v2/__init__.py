"""The Open Inference Protocol, version 2, over REST: what clients of Triton and KServe speak."""

from app.v2.routes import predictions, router

__all__ = ["predictions", "router"]
