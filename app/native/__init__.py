"""The native protocol: predictions as JSON, and what is served."""

from app.native.routes import describe, predicting, router

__all__ = ["describe", "predicting", "router"]
