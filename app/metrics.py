"""The metrics of the service, in their own registry.

With several server processes, each process has its numbers in memory that all of them share. The
process that answers `/metrics` adds them up.
"""

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.registry import Collector

from app.shared_metrics import SharedMemory, merged, value_class

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_RELATIVE = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)


class Metrics:
    """The counters and histograms; one object per application, so that tests share nothing.

    `shared` is the memory of several processes, and `number` the slot of this one in it. A process
    with a slot makes one such object: the library knows one kind of numbers per process.
    """

    def __init__(self, shared: SharedMemory | None = None, number: int = 0) -> None:
        self.registry = CollectorRegistry()
        self._shared = shared
        # The library's own choice follows an environment variable, and may be files in a folder.
        values.ValueClass = value_class(shared.slots[number]) if shared else values.MutexValue
        if shared is None:
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
        return generate_latest(
            _Merged(self.registry, self._shared) if self._shared else self.registry
        )

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


class _Merged(Collector):
    """The metrics of a registry with the numbers of all processes."""

    def __init__(self, registry: CollectorRegistry, shared: SharedMemory) -> None:
        self._registry = registry
        self._shared = shared

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        return merged(self._registry.collect(), self._shared.slots)
