"""The Open Inference Protocol, version 2, over REST: the protocol of Triton and KServe clients."""

from app.v2.routes import predictions, router

__all__ = ["predictions", "router"]
