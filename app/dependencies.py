"""The process singletons that routes share, and the core that answers rows whatever the transport."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

import numpy as np
from fastapi import Depends, Request

from app.contract.buckets import LABELS, N_BUCKETS
from app.errors import NotAcceptableError, TooManyRowsError
from app.formats.answers import answers_of, merge_errors
from app.formats.table_answers import flat_columns
from app.model.batching import Batcher
from app.model.predictor import PredictOptions
from app.model.priority import give_way
from app.model.store import LoadedModel, ModelStore
from app.observability import Metrics
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.contract.inputs import Column
    from app.exchange import Headers
    from app.formats.request import DecodedRequest, Options
    from app.model.predictor import Predictions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What rows must share to be computed in one call."""

    model: LoadedModel
    options: Options


class Answering:
    """Turns columns into answer records, on the event loop or on the batch workers.

    Args:
        settings: thread counts and limits.
        metrics: rows, buckets, unknown and missing values are counted here.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._batcher: Batcher[AnswerKey, Any] = Batcher(self._compute, settings.merged_rows)
        self._pool = ThreadPoolExecutor(settings.batch_workers, thread_name_prefix="batch", initializer=give_way)
        self._buckets = [metrics.predictions.labels(label) for label in LABELS]

    def close(self) -> None:
        """Finish what is queued and stop the threads."""
        self._pool.shutdown()

    async def few(self, model: LoadedModel, request: DecodedRequest) -> list[Any]:
        """Answer a few rows on the event loop, together with whoever else waits."""
        self._check(request)
        good = request.rows - len(request.errors)
        key = AnswerKey(model, request.options)
        records: Sequence[Any] = await self._batcher.submit(key, request.columns, good) if good else ()
        return merge_errors(records, request.errors)

    def table(self, model: LoadedModel, request: DecodedRequest) -> dict[str, list[Any]]:
        """Answer rows as the columns of a flat table, on the calling thread, which must be a batch worker."""
        if request.options.reasons:
            raise NotAcceptableError("reasons have no place in a flat table; accept JSON or NDJSON, or drop `explain`")
        predictions = self.predict(model, request)
        return flat_columns(predictions, request.errors, model.predictor.decision.rule)

    def predict(self, model: LoadedModel, request: DecodedRequest) -> Predictions:
        """Predict the good rows as arrays, on the calling thread, which must be a batch worker."""
        return self._predict(AnswerKey(model, request.options), request.columns)

    def many(self, model: LoadedModel, request: DecodedRequest) -> list[Any]:
        """Answer many rows on the calling thread, which must be a batch worker."""
        self._check(request)
        if not request.columns["uf"]:
            return merge_errors((), request.errors)
        records = self._compute(AnswerKey(model, request.options), request.columns)
        return merge_errors(records, request.errors)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run the work of a large request on a batch worker, so that the event loop stays free."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def count_rows(self, form: str, request: DecodedRequest) -> None:
        """Count the rows of an answered request."""
        bad = len(request.errors)
        self._metrics.rows.labels(form, "ok").inc(request.rows - bad)
        if bad:
            self._metrics.rows.labels(form, "error").inc(bad)

    def _check(self, request: DecodedRequest) -> None:
        limit = self._settings.max_explain_rows
        if request.options.reasons and request.rows > limit:
            raise TooManyRowsError(f"{request.rows} rows with reasons, at most {limit} are taken; split the request")

    def _compute(self, key: AnswerKey, columns: Mapping[str, Column]) -> list[Any]:
        predictions = self._predict(key, columns)
        return answers_of(predictions, key.options, key.model.predictor.decision.rule)

    def _predict(self, key: AnswerKey, columns: Mapping[str, Column]) -> Predictions:
        options = key.options
        wanted = PredictOptions(options.coverage, options.class_conditional, bool(options.reasons))
        predictions = key.model.predictor.predict(columns, wanted)
        self._count(predictions)
        return predictions

    def _count(self, predictions: Predictions) -> None:
        if len(predictions.bucket) == 1:
            self._buckets[predictions.bucket.item()].inc()
        else:
            counts = np.bincount(predictions.bucket, minlength=N_BUCKETS).tolist()
            for counter, rows in zip(self._buckets, counts, strict=True):
                if rows:
                    counter.inc(rows)
        for name, mask in predictions.warnings.unknown.items():
            self._metrics.unknown.labels(name).inc(int(mask.sum()))
        for name, mask in predictions.warnings.missing.items():
            self._metrics.missing.labels(name).inc(int(mask.sum()))


def headers_of(model: LoadedModel, bad_rows: int | None) -> Headers:
    """Headers of every answer with predictions; the count of bad rows only when it is known in advance."""
    headers = [(b"x-model-version", model.ref.version.encode()), (b"x-model-sha256", model.ref.model_sha256.encode())]
    return headers if bad_rows is None else [*headers, (b"x-row-errors", str(bad_rows).encode())]


class Draining:
    """Whether the process was told to stop."""

    def __init__(self) -> None:
        self.started = False


class AppState(TypedDict):
    """What the lifespan yields and every request carries."""

    settings: Settings
    metrics: Metrics
    store: ModelStore
    answering: Answering
    draining: Draining


def _settings(request: Request) -> Settings:
    return request.state.settings  # type: ignore[no-any-return]


def _metrics(request: Request) -> Metrics:
    return request.state.metrics  # type: ignore[no-any-return]


def _store(request: Request) -> ModelStore:
    return request.state.store  # type: ignore[no-any-return]


def _draining(request: Request) -> Draining:
    return request.state.draining  # type: ignore[no-any-return]


SettingsDep = Annotated[Settings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
StoreDep = Annotated[ModelStore, Depends(_store)]
DrainingDep = Annotated[Draining, Depends(_draining)]
