"""The native protocol: predictions as JSON, and what is served."""

from app.native.routes import describe, predictions, router

__all__ = ["describe", "predictions", "router"]
