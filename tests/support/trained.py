"""A version trained by the real pipeline on a small sample, and cheap relatives of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.artifact import read_artifact, read_manifest, write_artifact
from app.contract.manifest import MODEL_NAME
from training.answers import Answers
from training.boosting import BoosterParams
from training.config import RunConfig, load_config
from training.pipeline import train
from training.prepare import Prepared, prepare
from training.registry import promote
from training.sample_data import make_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.manifest import VersionRef

ROWS: Final = 3_000
QUICK: Final = BoosterParams(eta=0.3, max_depth=4)
TEACHER_ROUNDS: Final = 8
CONFIG: Final = load_config(
    None, {"fit.folds": 2, "fit.threads": 1, "tune.threads": 1, "split.test": 0.25, "gate.bootstrap": 200}
)


@dataclass(frozen=True)
class TrainedModels:
    """What was trained, and from what.

    Attributes:
        models: directory of versions, with the version promoted.
        ref: the version.
        file: the sample it was trained on.
        prepared: that sample, checked and split.
        config: of the run.
    """

    models: Path
    ref: VersionRef
    file: Path
    prepared: Prepared
    config: RunConfig

    @property
    def directory(self) -> Path:
        """Of the version."""
        return self.models / self.ref.version


def write_sample(path: Path, rows: int = ROWS, seed: int = 1) -> Path:
    """Write a synthetic file of merchants."""
    make_sample(rows, seed).to_csv(path, index=False)
    return path


def make_trained(directory: Path, config: RunConfig = CONFIG) -> TrainedModels:
    """Train and promote."""
    file = write_sample(directory / "merchants.csv")
    prepared = prepare(file, config)
    models = directory / "models"
    models.mkdir()
    done = train(prepared, QUICK, config, models=models, teacher_rounds=TEACHER_ROUNDS)
    promote(models, done.ref.version)
    return TrainedModels(models, done.ref, file, prepared, config)


def write_relative(source: Path, models: Path, *, minutes: int = 1, answers: Answers | None = None) -> VersionRef:
    """Write the same model as another version, with other answers on its test rows if wanted."""
    artifact = read_artifact(source)
    manifest, _ = read_manifest(source)
    created = manifest.created_at + timedelta(minutes=minutes)
    version = f"{created:%Y%m%dT%H%M%SZ}-{manifest.version[-8:]}"
    files = {name: (source / name).read_bytes() for name in manifest.files if name != MODEL_NAME}
    if answers is not None:
        files[Answers.FILE_NAME] = answers.to_bytes()
    changed = manifest.model_copy(update={"version": version, "created_at": created})
    models.mkdir(parents=True, exist_ok=True)
    return write_artifact(models / version, artifact.payload, changed, files)


def nudged(answers: Answers, towards_truth: float) -> Answers:
    """Move probabilities towards the true bucket (or, when negative, towards the shares of the buckets)."""
    target: NDArray[np.float64] = (
        np.eye(5)[answers.labels] if towards_truth > 0 else np.tile(answers.shares, (len(answers.labels), 1))
    )
    weight = abs(towards_truth)
    return replace(answers, probabilities=(1 - weight) * answers.probabilities + weight * target)
