"""Wiring only: data → tuning → fit → evaluation → a version on disk."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import joblib
import numpy as np
import xgboost as xgb

from app.contract.artifact import Artifact, dump_payload, read_artifact, sha256_of, write_artifact
from app.contract.buckets import N_BUCKETS
from app.contract.features import Fitted, build_matrix, encode, fit
from app.contract.inputs import RAW_NAMES
from app.contract.manifest import PROTOCOL, DataIdentity, Manifest, Runtime, VersionRef
from app.errors import TPVError
from app.model.decision import DecisionRule, Rule
from app.model.engine import Engine
from app.model.explain import softmax
from app.model.predictor import Predictor, golden_payload, load_predictor
from app.model.sets import ConformalSets
from training.answers import Answers
from training.data_files import data_digest
from training.decision import fit_decision
from training.evaluation import Evaluation, ModelFacts, Trial
from training.fit import STUDENTS, TEACHER, Classifier, FitSettings, fit_classifier, fits_needed, take
from training.golden import golden_columns
from training.measure import answer_test_rows, measure
from training.metrics import bucket_shares
from training.model_card import render_model_card
from training.prepare import prepare_unsplit
from training.progress import Progress, silent
from training.registry import champion
from training.report import CARD_NAME, REPORT_NAME, render_report
from training.revision import code_revision
from training.split import uniform_of
from training.tuning import TuningData
from training.value import fit_value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.artifact import Payload
    from app.contract.inputs import Columns
    from training.boosting import BoosterParams
    from training.config import RunConfig
    from training.prepare import Prepared

Only = Literal["classifier", "value"]
EVALUATION_NAME: Final = "evaluation.json"
TEACHER_ROUNDS: Final = 60
"""Boosting rounds of the teacher's members when no tuning has found a better number."""
_FOLD_SEED: Final = 1_000_003
"""Added to the seed for folds: with the split's own hash, folds would follow the sides of the split."""


class PipelineError(TPVError):
    """A stage cannot go on; the message says why and what to do."""

    code: ClassVar[str] = "pipeline"


@dataclass(frozen=True)
class Trained:
    """A version that was written, and what was measured of it on its test rows."""

    ref: VersionRef
    evaluation: Evaluation


def steps_of_training(config: RunConfig) -> int:
    """How many finished steps `train` tells its progress of."""
    each = fits_needed(config.fit.folds) + 1
    return each * (2 if config.fit.refit else 1) + 1


def tuning_data(prepared: Prepared) -> TuningData:
    """Build what trials see; features are fitted on the training rows alone."""
    train_rows, validation = prepared.split.train, prepared.split.validation
    fitted = fit(take(prepared.columns, train_rows))
    return TuningData(
        train=build_matrix(take(prepared.columns, train_rows), fitted),
        train_labels=prepared.labels[train_rows],
        validation=build_matrix(take(prepared.columns, validation), fitted),
        validation_labels=prepared.labels[validation],
        identity=prepared.identity,
    )


def train(
    prepared: Prepared,
    params: BoosterParams,
    config: RunConfig,
    *,
    models: Path,
    teacher_rounds: int = TEACHER_ROUNDS,
    base: Artifact | None = None,
    only: Only | None = None,
    study: Sequence[Trial] = (),
    progress: Progress = silent,
) -> Trained:
    """Fit, measure and write a version.

    The recipe is fitted on the training rows, calibrated on the validation rows and measured on the test rows. With
    `fit.refit` the same recipe is then fitted on all rows, and that booster is served: it has seen more merchants than
    the measured one, and everything that calibrates it (decision rule, prediction sets) and all that is reported stays
    that of the measured one, which never saw a test row.

    Args:
        prepared: checked and split data.
        params: of the teacher's members.
        config: of the run.
        models: directory that gets `<version>/`.
        teacher_rounds: boosting rounds of the teacher's members.
        base: the version whose other part is kept when `only` is given.
        only: train just the classifier (keeping features and value model) or just the value model.
        study: the tuning trials, for the report.
        progress: told of each finished step.

    Raises:
        PipelineError: `only` without a base, or the value model is asked for and amounts are not real.
    """
    if only is not None and base is None:
        raise PipelineError("--only: there is no version whose other part could be kept. Train once without --only.")
    kept: Payload = {} if base is None or only is None else base.payload
    recipe = _Recipe(prepared, params, config, teacher_rounds, kept, only, progress)
    sides = prepared.split
    measured, gains = recipe.payload(sides.train, calibrate_on=sides.validation)
    manifest = _manifest(measured, prepared, params, config, teacher_rounds)
    predictor = Predictor(_in_memory(measured, manifest), threads=config.fit.threads)
    facts = _facts(manifest, predictor, measured, prepared)
    answers = answer_test_rows(predictor, prepared)
    evaluation = measure(predictor, prepared, answers, facts=facts, gains=gains, study=study, seed=config.gate.seed)
    progress("measured on the test rows")
    served = measured
    if config.fit.refit:
        served, _ = recipe.payload(np.arange(len(prepared.frame)), calibrated=measured)
        manifest = _manifest(served, prepared, params, config, teacher_rounds)
        evaluation = replace(
            evaluation, version=manifest.version, model=replace(facts, model_bytes=len(dump_payload(served)))
        )
    ref = write_artifact(
        models / manifest.version,
        served,
        manifest.model_copy(update={"metrics": evaluation.to_dict()["metrics"]}),
        {
            EVALUATION_NAME: json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1).encode(),
            REPORT_NAME: render_report(evaluation).encode(),
            CARD_NAME: render_model_card(evaluation).encode(),
            Answers.FILE_NAME: Answers.of(answers.probabilities, prepared).to_bytes(),
        },
    )
    return Trained(ref, evaluation)


def champion_artifact(models: Path) -> Artifact | None:
    """Read the champion, or give None before the first promotion.

    Raises:
        ArtifactError: it must not be used.
    """
    pointer = champion(models)
    return None if pointer is None else read_artifact(models / pointer.version, pointer)


def evaluate_on(directory: Path, file: Path) -> Evaluation:
    """Measure a version on all valid rows of a file.

    Raises:
        PipelineError: the version was made from this very file.
        DataError: the file cannot be read, or holds no valid row.
        ArtifactError: the version must not be used.
    """
    predictor = load_predictor(directory, threads=2)
    manifest = predictor.manifest
    if manifest.data.sha256 == data_digest(file):
        raise PipelineError(
            f"FILE: {manifest.version} was made from {file}; its figures on the test rows of that file are in "
            f"{directory / EVALUATION_NAME} and {directory / REPORT_NAME}. Give merchants it has not learned from."
        )
    stored = Evaluation.from_dict(json.loads((directory / EVALUATION_NAME).read_text()))
    prepared = prepare_unsplit(file)
    answers = answer_test_rows(predictor, prepared)
    return measure(predictor, prepared, answers, facts=stored.model, gains=None, seed=manifest.seed)


@dataclass(frozen=True)
class _Recipe:
    """How a payload is made of rows; the measured and the served one differ in the rows only."""

    prepared: Prepared
    params: BoosterParams
    config: RunConfig
    teacher_rounds: int
    kept: Payload
    only: Only | None
    progress: Progress

    def payload(
        self,
        rows: NDArray[np.int64],
        *,
        calibrate_on: NDArray[np.int64] | None = None,
        calibrated: Payload | None = None,
    ) -> tuple[Payload, dict[str, float] | None]:
        """Fit on rows, and either calibrate on others or take over what was calibrated before."""
        gains = None
        if self.only == "value":
            payload = dict(self.kept)
        else:
            classifier = self._classifier(rows)
            gains = _gains_by_input(classifier)
            payload = self._classifier_payload(classifier, calibrate_on, calibrated)
            payload["value"] = self.kept.get("value")
        if self.only != "classifier":
            payload["value"] = _fit_value(self.prepared, rows, Fitted.from_payload(payload["features"]), self.config)
            self.progress("fitted amounts inside buckets" if payload["value"] else "left amounts inside buckets out")
        return payload, gains

    def _classifier(self, rows: NDArray[np.int64]) -> Classifier:
        prepared, fit_config = self.prepared, self.config.fit
        return fit_classifier(
            take(prepared.columns, rows),
            prepared.labels[rows],
            self.params,
            FitSettings(fit_config.folds, self.teacher_rounds, fit_config.seed, fit_config.threads),
            fold_key=uniform_of(prepared.frame.iloc[rows], _FOLD_SEED + fit_config.seed),
            features=Fitted.from_payload(self.kept["features"]) if self.kept else None,
            progress=self.progress,
        )

    def _classifier_payload(
        self, classifier: Classifier, calibrate_on: NDArray[np.int64] | None, calibrated: Payload | None
    ) -> Payload:
        """Everything of the payload but the value model."""
        golden = golden_columns(classifier.fitted)
        engine = Engine(classifier.booster, features=len(classifier.fitted.feature_names))

        def answer(columns: Columns) -> NDArray[np.float64]:
            return softmax(engine.margins_of_many(build_matrix(columns, classifier.fitted)))

        if calibrate_on is not None:
            labels = self.prepared.labels[calibrate_on]
            held_out = answer(take(self.prepared.columns, calibrate_on))
            decision = fit_decision(held_out, self.config.decision).to_payload()
            sets = ConformalSets.fit(labels, held_out).to_payload()
        elif calibrated is not None:
            decision, sets = calibrated["decision"], calibrated["sets"]
        else:
            raise AssertionError("a payload is calibrated on rows or takes a calibration over")
        return {
            "protocol": PROTOCOL,
            "features": classifier.fitted.to_payload(),
            "classifier": classifier.booster,
            "rounds": STUDENTS.rounds,
            "decision": decision,
            "sets": sets,
            "value": None,
            "golden": golden_payload(golden, answer(golden)),
        }


def _fit_value(prepared: Prepared, rows: NDArray[np.int64], fitted: Fitted, config: RunConfig) -> dict[str, Any] | None:
    if config.value.enabled == "off" or (config.value.enabled == "auto" and not prepared.amounts_are_real):
        return None
    if not prepared.amounts_are_real:
        raise PipelineError(
            f"value.enabled: {prepared.source} gives all rows of a bucket one amount, so there is nothing to learn "
            'inside buckets. Use data with real amounts, or set value.enabled to "auto" or "off".'
        )
    return fit_value(
        build_matrix(take(prepared.columns, rows), fitted),
        prepared.amounts[rows],
        prepared.labels[rows],
        cap=config.value.cap_brl,
        seed=config.fit.seed,
        threads=config.fit.threads,
    )


def _gains_by_input(classifier: Classifier) -> dict[str, float]:
    gains = dict.fromkeys(RAW_NAMES, 0.0)
    names = zip(classifier.fitted.feature_names, classifier.fitted.feature_inputs, strict=True)
    for feature, raw in names:
        gains[raw] += classifier.gains[feature]
    return gains


def _manifest(
    payload: Payload, prepared: Prepared, params: BoosterParams, config: RunConfig, teacher_rounds: int
) -> Manifest:
    fitted = Fitted.from_payload(payload["features"])
    held_out = fit(take(prepared.columns, prepared.split.train))
    encoded = encode(take(prepared.columns, prepared.split.test), held_out)
    unknown, missing = encoded.unknown(), encoded.missing()
    created = datetime.now(UTC).replace(microsecond=0)
    components = {
        name: sha256_of(dump_payload(payload[name]))
        for name in ("features", "classifier", "value")
        if payload[name] is not None
    }
    return Manifest(
        protocol=PROTOCOL,
        version=f"{created:%Y%m%dT%H%M%SZ}-{sha256_of(dump_payload(payload))[:8]}",
        created_at=created,
        files={},
        feature_fingerprint=fitted.fingerprint,
        components=components,
        decision_rule=payload["decision"]["rule"],
        data=DataIdentity(
            sha256=prepared.sha256,
            rows=len(prepared.frame),
            synthetic=prepared.synthetic,
            amounts_are_real=prepared.amounts_are_real,
        ),
        runtime=Runtime(
            python=platform.python_version(),
            xgboost=xgb.__version__,
            numpy=np.__version__,
            joblib=joblib.__version__,
        ),
        git_commit=code_revision(),
        seed=config.fit.seed,
        threads=config.fit.threads,
        params={
            "booster": params.to_dict(),
            "teacher_rounds": teacher_rounds,
            "student": STUDENTS.params.to_dict(),
            "student_rounds": payload["rounds"],
            "config": config.model_dump(mode="json", include={"split", "fit", "decision", "value"}),
        },
        metrics={},
        training_shares=tuple(bucket_shares(prepared.labels).tolist()),
        unknown_shares={name: float(mask.mean()) for name, mask in unknown.items()},
        missing_shares={name: float(mask.mean()) for name, mask in missing.items()},
    )


def _in_memory(payload: Payload, manifest: Manifest) -> Artifact:
    """The artifact as it will be read back, before it is written."""
    ref = VersionRef(version=manifest.version, model_sha256="0" * 64, manifest_sha256="0" * 64)
    return Artifact(payload=payload, manifest=manifest, ref=ref)


def _facts(manifest: Manifest, predictor: Predictor, payload: Payload, prepared: Prepared) -> ModelFacts:
    notes = [] if predictor.value else ["Amounts inside buckets are switched off: the data holds no real ones."]
    if manifest.params["config"]["fit"]["refit"]:
        notes.append(
            "Every figure is of a model fitted without test rows; the one served is the same recipe on all rows, "
            "with the measured one's decision rule and prediction sets."
        )
    return ModelFacts(
        description=(
            f"One XGBoost booster of {len(STUDENTS.views)} pooled softprob students, distilled from the out-of-fold "
            f"answers of a cross-fitted teacher of {len(TEACHER)} members."
        ),
        decision_rule=manifest.decision_rule,
        decision_detail=_decision_detail(predictor.decision),
        params={
            **{f"teacher {name}": value for name, value in manifest.params["booster"].items()},
            "teacher rounds": manifest.params["teacher_rounds"],
            "teacher folds": manifest.params["config"]["fit"]["folds"],
            **{f"student {name}": value for name, value in manifest.params["student"].items()},
            "student rounds": payload["rounds"],
        },
        packages=manifest.runtime.model_dump(),
        git_commit=manifest.git_commit,
        seed=manifest.seed,
        threads=manifest.threads,
        model_bytes=len(dump_payload(payload)),
        reproduce=(f"tpv run {prepared.source}",),
        notes=tuple(notes),
    )


def _decision_detail(decision: DecisionRule) -> str:
    """The rule in figures: what each bucket's probability is multiplied with, and what is then taken off."""
    if decision.rule is Rule.EXPECTED_COST:
        return "costs " + "; ".join(" ".join(f"{-score:g}" for score in row) for row in decision.scores)
    price = -np.array([decision.scores[(bucket + 1) % N_BUCKETS, bucket] for bucket in range(N_BUCKETS)])
    gain = np.diag(decision.scores) + price
    figures = ", ".join(f"{g:.3f} p - {b:.3f}" for g, b in zip(gain, price, strict=True))
    return f"the bucket with the highest of {figures}"
