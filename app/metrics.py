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


_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


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
            "Time that the worker thread computed, per batch.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_wait_seconds = Histogram(
            "mcd_queue_wait_seconds",
            "Time that rows waited for their batch, per request and slice of it.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_rows = Histogram(
            "mcd_batch_rows", "Rows per batch.", buckets=_ROWS, registry=self.registry
        )
        self.queue_rows = Gauge("mcd_queue_rows", "Rows that wait.", registry=self.registry)
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

    def waited(self, seconds: float) -> None:
        """Rows of one request have left the queue after so long."""
        self.queue_wait_seconds.observe(seconds)

    def batched(self, size: int) -> None:
        """A batch of so many rows begins."""
        self.batch_rows.observe(size)

    def queued(self, size: int) -> None:
        """So many rows wait now."""
        self.queue_rows.set(size)

    def render(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)
