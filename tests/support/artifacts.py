"""A tiny artifact, real in every part, trained in about a second."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import joblib
import numpy as np
import xgboost as xgb

from app.contract.artifact import dump_payload, sha256_of, to_json, write_artifact, write_file
from app.contract.buckets import N_BUCKETS, bucketize
from app.contract.features import build_matrix, fit
from app.contract.inputs import RAW_BY_NAME
from app.contract.manifest import (
    CHAMPION_NAME,
    PROTOCOL,
    ChampionPointer,
    DataIdentity,
    Manifest,
    Runtime,
    VersionRef,
)
from app.model.decision import DecisionRule, Rule
from app.model.predictor import golden_payload
from app.model.sets import ConformalSets
from app.model.values import ValueModel, to_logit
from tests.support.merchants import amounts_of, columns_of, merchants

if TYPE_CHECKING:
    from pathlib import Path

_CAP: Final = 10_000_000.0
_LEVELS: Final = np.linspace(0.05, 0.95, 19)
_STAMP: Final = datetime(2026, 1, 4, 3, 0, tzinfo=UTC)


def make_payload(seed: int = 0, rows: int = 400, trees: int = 6) -> tuple[dict[str, Any], str]:
    """Train a payload; give it with its feature fingerprint."""
    train = merchants(rows, seed)
    columns, amounts = columns_of(train), amounts_of(train, seed)
    labels = bucketize(amounts)
    labels[:N_BUCKETS] = range(N_BUCKETS)
    fitted = fit(columns)
    matrix = build_matrix(columns, fitted)
    common = {"max_depth": 3, "eta": 0.3, "seed": seed, "nthread": 1, "tree_method": "hist"}
    classifier = xgb.train(
        common | {"objective": "multi:softprob", "num_class": N_BUCKETS}, xgb.DMatrix(matrix, labels), trees
    )
    logits = to_logit(amounts, labels.astype(np.intp), _CAP)
    targets = np.repeat(logits[:, None], N_BUCKETS, axis=1)
    value_booster = xgb.train(common | {"objective": "reg:squarederror"}, xgb.DMatrix(matrix, targets), 3)
    golden = columns_of(merchants(8, seed + 100))
    margins = classifier.predict(xgb.DMatrix(build_matrix(golden, fitted)), output_margin=True).astype(np.float64)
    probabilities = classifier.predict(xgb.DMatrix(matrix)).astype(np.float64)
    exponentials = np.exp(margins - margins.max(axis=1, keepdims=True))
    value = ValueModel(None, _LEVELS, np.tile((_LEVELS - 0.5) * 4, (N_BUCKETS, 1)), 0.0, _CAP)  # type: ignore[arg-type]
    payload = {
        "protocol": PROTOCOL,
        "features": fitted.to_payload(),
        "decision": DecisionRule.weighted(Rule.WEIGHTED_F1, np.ones(N_BUCKETS)).to_payload(),
        "sets": ConformalSets.fit(labels, probabilities).to_payload(),
        "classifier": bytes(classifier.save_raw("ubj")),
        "value": value.to_payload(bytes(value_booster.save_raw("ubj"))),
        "golden": golden_payload(golden, exponentials / exponentials.sum(axis=1, keepdims=True)),
    }
    return payload, fitted.fingerprint


def write_version(models: Path, payload: dict[str, Any], fingerprint: str, *, minute: int = 0) -> VersionRef:
    """Write a payload as a version directory."""
    created = _STAMP + timedelta(minutes=minute)
    version = f"{created:%Y%m%dT%H%M%SZ}-{sha256_of(dump_payload(payload))[:8]}"
    categorical = [name for name, raw in RAW_BY_NAME.items() if raw.categorical]
    manifest = Manifest(
        protocol=PROTOCOL,
        version=version,
        created_at=created,
        files={},
        feature_fingerprint=fingerprint,
        components={},
        decision_rule=payload["decision"]["rule"],
        data=DataIdentity(sha256="0" * 64, rows=400, synthetic=True, amounts_are_real=True),
        runtime=Runtime(
            python=sys.version.split()[0], xgboost=xgb.__version__, numpy=np.__version__, joblib=joblib.__version__
        ),
        git_commit=None,
        seed=0,
        threads=1,
        params={},
        metrics={"log_loss": 1.0},
        training_shares=(0.2,) * N_BUCKETS,
        unknown_shares=dict.fromkeys(categorical, 0.0),
        missing_shares=dict.fromkeys(RAW_BY_NAME, 0.0),
    )
    return write_artifact(models / version, payload, manifest, {})


def promote(models: Path, ref: VersionRef, previous: VersionRef | None = None) -> None:
    """Point the champion at a version."""
    pointer = ChampionPointer(
        **ref.model_dump(), promoted_at=datetime.now(UTC), forced=False, previous=previous and previous.model_copy()
    )
    write_file(models / CHAMPION_NAME, to_json(pointer))


def make_models(models: Path, seed: int = 0, minute: int = 0) -> VersionRef:
    """Train, write and promote a version in a models directory."""
    models.mkdir(parents=True, exist_ok=True)
    ref = write_version(models, *make_payload(seed), minute=minute)
    promote(models, ref)
    return ref
