"""Who computes what, and when: callers share batches, and one thread computes them."""

from app.compute.computation import Computation

__all__ = ["Computation"]
