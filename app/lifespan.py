"""Start and stop: load the champion before the first request, follow its pointer, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from app.contract.buckets import LABELS
from app.dependencies import Answering, AppState, Draining
from app.model.store import LoadedModel, LoadFailure, ModelStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

    from fastapi import FastAPI

    from app.observability import Metrics
    from app.settings import Settings

_logger: Final = logging.getLogger("tpv.model")


class _Reporter:
    """Tells logs and metrics what happens to the model store."""

    def __init__(self, metrics: Metrics, draining: Draining) -> None:
        self._metrics = metrics
        self._draining = draining

    def swapped(self, model: LoadedModel, former: LoadedModel | None) -> None:
        metrics, manifest = self._metrics, model.manifest
        if former is not None:
            metrics.model_info.labels(former.ref.version, former.ref.model_sha256).set(0)
        metrics.model_info.labels(model.ref.version, model.ref.model_sha256).set(1)
        metrics.loaded_at.set_to_current_time()
        metrics.trained_at.set(manifest.created_at.timestamp())
        for name, share in manifest.unknown_shares.items():
            metrics.unknown_baseline.labels(name).set(share)
        for label, share in zip(LABELS, manifest.training_shares, strict=True):
            metrics.bucket_share.labels(label).set(share)
        metrics.ready.set(0 if self._draining.started else 1)
        _logger.info(
            "model serves",
            extra={
                "version": model.ref.version,
                "sha256": model.ref.model_sha256,
                "former": former.ref.version if former else None,
            },
        )

    def failed(self, failure: LoadFailure) -> None:
        self._metrics.load_failures.labels(failure.code).inc()
        _logger.error(
            "model refused",
            extra={"version": failure.version, "code": failure.code, "reason": failure.message},
        )


def make_lifespan(settings: Settings, metrics: Metrics) -> Callable[[FastAPI], AbstractAsyncContextManager[AppState]]:
    """Make the lifespan of one application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        draining = Draining()
        store = ModelStore(settings.models_dir, _Reporter(metrics, draining), threads=settings.threads)
        answering = Answering(settings, metrics)
        metrics.ready.set(0)
        accepting = asyncio.Event()
        with _drain_on_sigterm(draining, metrics, settings.drain_delay_seconds, accepting):
            watcher = asyncio.create_task(_follow(store, settings.poll_seconds, accepting))
            # The listener is bound already: callers wait in its backlog, or are served by another worker.
            await accepting.wait()
            yield {
                "settings": settings,
                "metrics": metrics,
                "store": store,
                "answering": answering,
                "draining": draining,
            }
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        await asyncio.to_thread(answering.close)

    return lifespan


async def _follow(store: ModelStore, seconds: float, accepting: asyncio.Event) -> None:
    """Keep the store at the champion; set `accepting` after the first attempt, whether there was one to load or not."""
    while True:
        try:
            if await asyncio.to_thread(store.refresh):
                # What a model holds lives as long as it does. Hiding it from the collector took the longest pauses
                # away: a full collection cost 95 ms.
                gc.collect()
                gc.freeze()
        finally:
            accepting.set()
        await asyncio.sleep(seconds)


@contextmanager
def _drain_on_sigterm(draining: Draining, metrics: Metrics, delay: float, accepting: asyncio.Event) -> Iterator[None]:
    """Turn readiness off at SIGTERM, and let the server stop `delay` seconds later.

    Load balancers need that moment to see the 503 and to send no more. The server's own handler, which stops
    listening at once, is called after it; a second SIGTERM calls it immediately, and so does one that comes before
    anybody was served.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    server = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        if callable(server):
            server(signal.SIGTERM, None)

    def drain(_signal: int, _frame: FrameType | None) -> None:
        if draining.started:
            stop()
            return
        draining.started = True
        if not accepting.is_set():
            stop()
            loop.call_soon_threadsafe(accepting.set)
            return
        metrics.ready.set(0)
        loop.call_soon_threadsafe(loop.call_later, delay, stop)

    signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)
