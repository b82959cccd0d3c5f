"""The model that serves: watch the champion pointer, load and verify aside, swap one reference."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from app.contract.artifact import read_artifact, read_champion
from app.contract.manifest import Manifest, VersionRef
from app.errors import ArtifactError, ArtifactMissingError, ModelNotReadyError
from app.model.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.manifest import ChampionPointer

_logger: Final = logging.getLogger("tpv.model")
_FIRST_RETRY_SECONDS: Final = 2.0
_LONGEST_RETRY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A verified model in memory. Two are equal only when they are the same object.

    Attributes:
        ref: version and digests.
        manifest: what the artifact says of itself.
        predictor: for the event loop and the batch workers alike.
        loaded_at: UTC.
    """

    ref: VersionRef
    manifest: Manifest
    predictor: Predictor
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why the champion is not what serves.

    Attributes:
        version: of the pointer, or None when the pointer itself cannot be read.
        code: stable name of the failure.
        message: for people.
        at: UTC.
    """

    version: str | None
    code: str
    message: str
    at: datetime


class StoreListener(Protocol):
    """Is told what happens to the store, on the thread that calls `refresh`."""

    def swapped(self, model: LoadedModel, former: LoadedModel | None) -> None:
        """Another model serves."""

    def failed(self, failure: LoadFailure) -> None:
        """A model was refused; what served before goes on."""


@dataclass(slots=True)
class _Retry:
    """When a refused pointer is tried again: files may still be on their way."""

    pointer: VersionRef | None = None
    not_before: float = 0.0
    delay: float = field(default=_FIRST_RETRY_SECONDS)


class ModelStore:
    """Holds the serving model and the one before it.

    `current` is read without a lock: a reader takes the reference once and uses only that, so its answers come from
    one version whatever happens meanwhile.

    Args:
        directory: the models directory.
        listener: told about swaps and failures.
        threads: that share a large batch.
    """

    def __init__(self, directory: Path, listener: StoreListener, *, threads: int = 1) -> None:
        self._directory = directory
        self._threads = threads
        self._listener = listener
        self._lock = threading.Lock()
        self._retry = _Retry()
        self.current: LoadedModel | None = None
        self.previous: LoadedModel | None = None
        self.failure: LoadFailure | None = None

    def require(self) -> LoadedModel:
        """Give the serving model.

        Raises:
            ModelNotReadyError: there is none.
        """
        if self.current is None:
            why = f" ({self.failure.message})" if self.failure else ""
            raise ModelNotReadyError(
                f"no model is loaded{why}; promote one with `tpv promote`, it is picked up by itself"
            )
        return self.current

    def refresh(self) -> bool:
        """Read the champion pointer and follow it; tell whether another model serves now.

        Never raises for an artifact: the failure is kept in `failure` and the old model goes on. Several threads may
        call it; they take turns.
        """
        with self._lock:
            try:
                pointer = read_champion(self._directory)
            except ArtifactError as error:
                self._fail(None, error)
                return False
            if self.current is not None and _same(self.current.ref, pointer):
                self.failure = None
                self._retry = _Retry()
                return False
            if self._retry.pointer == _ref(pointer) and time.monotonic() < self._retry.not_before:
                return False
            try:
                model = self._resident(pointer) or self._load(pointer)
            except ArtifactError as error:
                self._fail(_ref(pointer), error)
                return False
            except Exception as error:  # whatever an artifact does, the old model goes on
                _logger.exception("unforeseen failure while loading a model")
                self._fail(_ref(pointer), ArtifactError(f"the artifact cannot be loaded ({type(error).__name__})"))
                return False
            self._swap(model)
            return True

    def _resident(self, pointer: ChampionPointer) -> LoadedModel | None:
        """Give the model before this one when the pointer went back to it."""
        return self.previous if self.previous is not None and _same(self.previous.ref, pointer) else None

    def _load(self, pointer: ChampionPointer) -> LoadedModel:
        artifact = read_artifact(self._directory / pointer.version, pointer)
        return LoadedModel(
            ref=artifact.ref,
            manifest=artifact.manifest,
            predictor=Predictor(artifact, threads=self._threads),
            loaded_at=datetime.now(UTC),
        )

    def _swap(self, model: LoadedModel) -> None:
        former, self.current = self.current, model
        self.previous = former
        self.failure = None
        self._retry = _Retry()
        self._listener.swapped(model, former)

    def _fail(self, pointer: VersionRef | None, error: ArtifactError) -> None:
        known = self.failure is not None and self._retry.pointer == pointer and self.failure.code == error.code
        delay = min(self._retry.delay * 2, _LONGEST_RETRY_SECONDS) if known else _FIRST_RETRY_SECONDS
        self._retry = _Retry(pointer, time.monotonic() + delay, delay)
        self.failure = LoadFailure(pointer.version if pointer else None, error.code, str(error), datetime.now(UTC))
        nothing_yet = pointer is None and self.current is None and isinstance(error, ArtifactMissingError)
        if not nothing_yet and (pointer is not None or not known):
            self._listener.failed(self.failure)


def _ref(pointer: ChampionPointer) -> VersionRef:
    return VersionRef(
        version=pointer.version, model_sha256=pointer.model_sha256, manifest_sha256=pointer.manifest_sha256
    )


def _same(loaded: VersionRef, pointer: VersionRef) -> bool:
    return loaded.model_sha256 == pointer.model_sha256 and loaded.manifest_sha256 == pointer.manifest_sha256
