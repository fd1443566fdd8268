"""The metrics of the service, in their own registry.

With several server processes, each process writes its metrics into files of a shared folder. The
process that answers `/metrics` adds them up.
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
    """The counters and histograms; one object per application, so that tests share nothing.

    `shared_folder` is the folder of several processes. The library reads its path from the
    environment variable PROMETHEUS_MULTIPROC_DIR when the library is imported.
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
        """Rows of one request have left the queue after that time."""
        self.queue_wait_seconds.observe(seconds)

    def batched(self, size: int) -> None:
        """A batch of `size` rows begins."""
        self.batch_rows.observe(size)

    def queued(self, size: int) -> None:
        """`size` rows wait now."""
        self.queue_rows.set(size)

    def render(self) -> bytes:
        """The metrics of all processes in the Prometheus text format."""
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
            "Duration of prediction requests, from reading the body to the encoded answer.",
        )
        self.rejected = Counter(
            "mcd_rejected_total",
            "Requests refused to protect the server: no key, too large, too many, too late.",
            ["reason"],
            registry=self.registry,
        )

    def _time_computation(self) -> None:
        self.inference_seconds = self._seconds(
            "mcd_inference_seconds", "Duration of the computation, per batch."
        )
        self.queue_wait_seconds = self._seconds(
            "mcd_queue_wait_seconds",
            "Time that rows waited for their batch, per slice of a request.",
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
        self.in_flight_bytes = Gauge(
            "mcd_in_flight_bytes",
            "Bytes held for requests: bodies, rows and answers; small changes are not shown.",
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
            "1 after the model's warm-up prediction has succeeded, 0 when the server stops.",
            ["model"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self.predictive_std = Histogram(
            "mcd_predictive_std",
            "Standard deviations of predictions, a few per request: a regression's divided by the "
            "target's standard deviation over the training rows, a classifier's of a probability.",
            ["model"],
            buckets=_RELATIVE,
            registry=self.registry,
        )

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)


def forget_process(shared_folder: Path, process: int) -> None:
    """Remove an ended process from the metrics that count running processes only."""
    mark_process_dead(process, path=str(shared_folder))  # type: ignore[no-untyped-call]
