"""The native protocol: predictions as JSON, and the list of models."""

from app.native.exploring import explorations
from app.native.routes import describe, predictions, router

__all__ = ["describe", "explorations", "predictions", "router"]
