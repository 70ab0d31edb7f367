"""What a server counts and times, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Measurements:
    """The metrics of one server."""

    def __init__(self, waiting_images: Callable[[], int], held_bytes: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter("imgloc_requests_total", "Requests to /v1/locate by status", ["status"], registry=self._registry)
        self._seconds = Histogram("imgloc_request_seconds", "Time from the first byte of a request to its answer", registry=self._registry)
        self._batches = Histogram("imgloc_batch_images", "Images predicted together", buckets=BATCH_SIZES, registry=self._registry)
        self._gauge("imgloc_queue_images", "Images that wait for their answer", waiting_images)
        self._gauge("imgloc_upload_bytes", "Bytes of uploads in memory", held_bytes)

    def _gauge(self, name: str, meaning: str, value: Callable[[], int]) -> None:
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def predicted(self, images: int) -> None:
        """Count a batch."""
        self._batches.observe(images)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        text: bytes = generate_latest(self._registry)
        return text
