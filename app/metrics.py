"""The service's instruments, in a registry of their own.

With several server processes each writes what it counts into files of a folder that all share, and
whichever is asked adds them up.
"""

from functools import lru_cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_RELATIVE = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)


class Metrics:
    """What is counted and timed; one object per application, so that tests share nothing.

    `shared_folder` is where several processes write, as the environment variable
    PROMETHEUS_MULTIPROC_DIR told the library when it was imported.
    """

    def __init__(self, shared_folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._shared_folder = shared_folder
        if shared_folder is None:
            ProcessCollector(registry=self.registry)
        self._count_requests()
        self._time_computation()
        self._show_models()
        # Looking a label up takes as long as counting: what has been looked up is kept.
        self._requests_of = lru_cache(256)(self.requests.labels)
        self.predictive_std_of = lru_cache(256)(self.predictive_std.labels)

    def finished(self, model: str, outcome: str, seconds: float) -> None:
        """Count one prediction request."""
        self._requests_of(model, outcome).inc()
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
        """Everything in the Prometheus text format, of all processes."""
        if self._shared_folder is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._shared_folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _count_requests(self) -> None:
        self.requests = Counter(
            "mcd_requests_total",
            "Prediction requests by model and outcome: ok, or the code of the error.",
            ["model", "outcome"],
            registry=self.registry,
        )
        self.request_seconds = self._seconds(
            "mcd_request_duration_seconds",
            "Prediction requests from their first byte read to the answer encoded.",
        )
        self.rejected = Counter(
            "mcd_rejected_total",
            "Requests refused for the server's sake: no key, too large, too much, too late.",
            ["reason"],
            registry=self.registry,
        )

    def _time_computation(self) -> None:
        self.inference_seconds = self._seconds(
            "mcd_inference_seconds", "Time that the worker thread computed, per batch."
        )
        self.queue_wait_seconds = self._seconds(
            "mcd_queue_wait_seconds",
            "Time that rows waited for their batch, per request and slice of it.",
        )
        self.batch_rows = Histogram(
            "mcd_batch_rows", "Rows per batch.", buckets=_ROWS, registry=self.registry
        )
        self.queue_rows = Gauge(
            "mcd_queue_rows",
            "Rows that wait.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.passes = Counter(
            "mcd_passes_total", "Stochastic forward passes computed.", registry=self.registry
        )

    def _show_models(self) -> None:
        self.model_info = Gauge(
            "mcd_model_info",
            "1 for every version of a model that is served.",
            ["model", "version"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.model_ready = Gauge(
            "mcd_model_ready",
            "1 once a model's warm-up prediction has succeeded, 0 when it stops.",
            ["model"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self.predictive_std = Histogram(
            "mcd_predictive_std",
            "Standard deviations of predictions, a few per request: in units of the target's "
            "spread over the training rows, or of a probability.",
            ["model"],
            buckets=_RELATIVE,
            registry=self.registry,
        )

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)


def forget_process(shared_folder: Path, process: int) -> None:
    """Leave a process that has ended out of what is true of running ones only."""
    mark_process_dead(process, path=str(shared_folder))  # type: ignore[no-untyped-call]
