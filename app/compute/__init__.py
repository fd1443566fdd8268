"""Compute predictions: requests share batches, and one worker thread computes the batches."""

from app.compute.computation import Computation

__all__ = ["Computation"]
