"""Structured logs and metric objects.

Logs use the standard library with one formatter: uvicorn and every library already speak it, so nothing has to be
bridged, and a record costs a few microseconds on the hot path.
"""

from __future__ import annotations

import logging
import logging.config
import os
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request id, and what `extra` gave."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            entry["request_id"] = current
        entry.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return self._encoder.encode(entry).decode()


def configure_logging(level: str) -> None:
    """Send every logger of the process to standard output as JSON lines."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "json"}},
            "root": {"handlers": ["stdout"], "level": level},
            # Its lines repeat what the access log says.
            "loggers": {"uvicorn.access": {"level": "WARNING"}},
        }
    )


class AccessLog:
    """One line a request, of the same shape as every other line, written without the machinery of `logging`.

    That machinery looks for the caller and builds a record, which took a third of the time that a request spends
    outside the model. It still decides by its levels whether a line is written.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("tpv.access")
        self._encoder = msgspec.json.Encoder()
        self._second = -1
        self._stamp = ""

    def write(self, level: int, fields: dict[str, Any]) -> None:
        """Write a line with these fields, if the level is logged."""
        if not self._logger.isEnabledFor(level):
            return
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        entry = {
            "time": f"{self._stamp}.{int((now - second) * 1000):03d}Z",
            "level": logging.getLevelName(level),
            "logger": "tpv.access",
            "message": "request",
            "request_id": request_id.get(),
            **fields,
        }
        sys.stdout.write(self._encoder.encode(entry).decode() + "\n")
        sys.stdout.flush()


class Metrics:
    """The metric objects of one application.

    Args:
        multiprocess_dir: where workers share their samples, or None when there is one worker.
    """

    def __init__(self, multiprocess_dir: Path | None = None) -> None:
        # A second series for every counter, which nothing here reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._directory = multiprocess_dir
        self.registry = registry = CollectorRegistry()
        if multiprocess_dir is None:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: Any = "livemax") -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode=mode)

        self.requests = counter("tpv_http_requests_total", "Requests answered.", "route", "status", "method")
        self.duration = Histogram(
            "tpv_http_request_duration_seconds",
            "From the request head to the last byte of the answer.",
            ("route",),
            registry=registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.in_flight = gauge("tpv_requests_in_flight", "Predict requests in the process.", mode="livesum")
        self.shed = counter("tpv_requests_shed_total", "Requests refused to protect the others.", "reason")
        self.predictions = counter("tpv_predictions_total", "Rows predicted, by bucket.", "bucket")
        self.rows = counter("tpv_rows_total", "Rows received.", "format", "outcome")
        self.unknown = counter("tpv_unknown_categories_total", "Values that training never saw.", "field")
        self.missing = counter("tpv_missing_values_total", "Nulls received.", "field")
        self.model_info = gauge(
            "tpv_model_info", "1 for the model that serves, 0 for a former one.", "version", "sha256"
        )
        self.load_failures = counter("tpv_model_load_failures_total", "Models that were refused.", "reason")
        self.loaded_at = gauge("tpv_model_loaded_timestamp_seconds", "When the model began to serve.")
        self.trained_at = gauge("tpv_model_trained_timestamp_seconds", "When the model was made.")
        self.unknown_baseline = gauge(
            "tpv_model_unknown_share_baseline", "Share of unknown values in the validation rows.", "field"
        )
        self.bucket_share = gauge("tpv_model_bucket_share", "Share of the bucket in the training rows.", "bucket")
        self.ready = gauge("tpv_ready", "1 when predictions are served.", mode="livemin")

    def exposition(self) -> bytes:
        """Give every sample in the Prometheus text format, of all live workers when there are several."""
        if self._directory is None:
            return generate_latest(self.registry)
        for path in self._directory.glob("gauge_live*_*.db"):
            pid = int(path.stem.rsplit("_", 1)[1])
            if not _alive(pid):
                mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]
        shared = CollectorRegistry()
        MultiProcessCollector(shared, path=str(self._directory))  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
