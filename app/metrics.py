"""The service's instruments, in a registry of their own."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What is counted and timed; one object per application, so that tests share nothing."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "mcd_requests_total",
            "Prediction requests by model and outcome: ok, or the code of the error.",
            ["model", "outcome"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "mcd_request_duration_seconds",
            "Prediction requests from their first byte read to the answer encoded.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.inference_seconds = Histogram(
            "mcd_inference_seconds",
            "Time that the worker thread computed, per prediction request.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.passes = Counter(
            "mcd_passes_total", "Stochastic forward passes computed.", registry=self.registry
        )
        self.model_info = Gauge(
            "mcd_model_info",
            "1 for every model served.",
            ["model", "version"],
            registry=self.registry,
        )
        self.model_ready = Gauge(
            "mcd_model_ready",
            "1 once a model's warm-up prediction has succeeded, 0 when it stops.",
            ["model"],
            registry=self.registry,
        )

    def finished(self, model: str, outcome: str, seconds: float) -> None:
        """Count one prediction request."""
        self.requests.labels(model, outcome).inc()
        self.request_seconds.observe(seconds)

    def render(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)
