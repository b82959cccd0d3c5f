"""Columns in, predictions out: the one path that training, golden rows and every transport use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from app.contract.artifact import Artifact, pack_array, read_artifact, unpack_array
from app.contract.buckets import N_BUCKETS
from app.contract.features import Encoded, Fitted, assemble, encode
from app.errors import ContractError, GoldenRowsError, IncompatibleArtifactError
from app.model.decision import DecisionRule
from app.model.engine import Engine
from app.model.explain import Contributions, explain, softmax
from app.model.sets import ConformalSets
from app.model.values import ValueModel, Values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.inputs import Columns
    from app.contract.manifest import VersionRef

GOLDEN_TOLERANCE: Final = 1e-6
"""Largest difference of a probability from the one recorded when the model was trained."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What a caller may ask of a prediction.

    Attributes:
        coverage: of the prediction sets, in [0.5, 0.99].
        class_conditional: whether that coverage holds within each true bucket.
        explain: whether to give contributions.
    """

    coverage: float = 0.9
    class_conditional: bool = False
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Warnings:
    """What was odd about the rows, by input; the maps of rows are empty on clean data.

    Attributes:
        unknown: boolean (n,) by categorical input: a category training never saw, taken as missing.
        missing: boolean (n,) by input: null where a value was expected.
        known_values: by categorical input, how many categories training saw.
    """

    unknown: dict[str, NDArray[np.bool_]]
    missing: dict[str, NDArray[np.bool_]]
    known_values: dict[str, int]

    def by_row(self) -> dict[int, list[tuple[Literal["unknown_category", "missing_value"], str]]]:
        """Give (code, input) pairs by row, for the rows that have any."""
        found: dict[int, list[tuple[Literal["unknown_category", "missing_value"], str]]] = {}
        codes: tuple[tuple[Literal["unknown_category", "missing_value"], dict[str, NDArray[np.bool_]]], ...] = (
            ("unknown_category", self.unknown),
            ("missing_value", self.missing),
        )
        for code, masks in codes:
            for name, mask in masks.items():
                for row in np.flatnonzero(mask).tolist():
                    found.setdefault(row, []).append((code, name))
        return found


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers for n merchants.

    Attributes:
        probabilities: float64 (n, 5), rows sum to 1.
        bucket: int8 (n,), chosen by the artifact's decision rule.
        set_lower: int8 (n,), first bucket of the contiguous prediction set.
        set_upper: int8 (n,), last bucket of it, inclusive.
        values: amounts in BRL, or None when the artifact has no value model.
        warnings: unknown and missing inputs.
        contributions: reasons, or None when not asked for.
    """

    probabilities: NDArray[np.float64]
    bucket: NDArray[np.int8]
    set_lower: NDArray[np.int8]
    set_upper: NDArray[np.int8]
    values: Values | None
    warnings: Warnings
    contributions: Contributions | None


class Predictor:
    """A verified artifact, ready to answer. Safe for several threads at once.

    Args:
        artifact: as `read_artifact` gives it.
        threads: that share a large batch.

    Raises:
        IncompatibleArtifactError: parts of the payload are absent or do not fit each other.
        GoldenRowsError: the model does not reproduce the answers it was shipped with.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        payload = artifact.payload
        self.manifest = artifact.manifest
        self.ref = artifact.ref
        try:
            self.fitted = Fitted.from_payload(payload["features"])
            self.decision = DecisionRule.from_payload(payload["decision"])
            self.sets = ConformalSets.from_payload(payload["sets"])
            width = len(self.fitted.feature_names)
            self.engine = Engine(payload["classifier"], features=width, threads=threads)
            value = payload["value"]
            self.value = None if value is None else ValueModel.from_payload(value, features=width, threads=threads)
            golden = payload["golden"]
        except (KeyError, TypeError) as error:
            raise IncompatibleArtifactError(f"the artifact lacks a part: {error}") from error
        if self.fitted.fingerprint != self.manifest.feature_fingerprint:
            raise IncompatibleArtifactError(
                "the artifact's features are not those its manifest names, or this version of the contract builds "
                "others; train again with this version"
            )
        self._verify(golden)

    def predict(self, columns: Columns, options: PredictOptions | None = None) -> Predictions:
        """Answer n merchants.

        Args:
            columns: the thirteen raw inputs, of equal length n, of the declared kinds.
            options: coverage and reasons; the defaults when None.

        Raises:
            ContractError: a raw input is absent, lengths differ, or a value has the wrong type.
        """
        return self.predict_encoded(encode(columns, self.fitted), options or PredictOptions())

    def predict_encoded(self, encoded: Encoded, options: PredictOptions) -> Predictions:
        """Answer n merchants whose columns are encoded already."""
        matrix = assemble(encoded, self.fitted)
        probabilities = softmax(self.engine.margins(matrix))
        bucket = self.decision.choose(probabilities)
        set_lower, set_upper = self.prediction_sets(probabilities, bucket, options)
        return Predictions(
            probabilities=probabilities,
            bucket=bucket,
            set_lower=set_lower,
            set_upper=set_upper,
            values=None if self.value is None else self.value.predict(matrix, probabilities, bucket),
            warnings=Warnings(encoded.unknown(), encoded.missing(), self.fitted.known_values),
            contributions=(
                explain(self.engine.contributions(matrix), bucket, self.fitted.feature_inputs)
                if options.explain
                else None
            ),
        )

    def prediction_sets(
        self, probabilities: NDArray[np.float64], bucket: NDArray[np.int8], options: PredictOptions
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Give the first and last bucket of each set, int8 (n,), from probabilities (n, 5) and the chosen buckets (n,).

        The chosen bucket always lies inside.
        """
        first, last = self.sets.intervals(probabilities, options.coverage, class_conditional=options.class_conditional)
        return np.minimum(first, bucket), np.maximum(last, bucket)

    def quantiles(self, columns: Columns, levels: Sequence[float]) -> dict[float, NDArray[np.float64]]:
        """Give quantiles of the amount over all buckets, BRL (n,) by level; empty without a value model.

        Raises:
            ContractError: a raw input is absent, lengths differ, or a value has the wrong type.
        """
        if self.value is None:
            return {}
        matrix = assemble(encode(columns, self.fitted), self.fitted)
        probabilities = softmax(self.engine.margins(matrix))
        location = self.value.engine.margins(matrix)
        return {level: self.value.quantile(location, probabilities, level) for level in levels}

    def _verify(self, golden: Any) -> None:
        """Reproduce the golden rows, all together and one by one."""
        try:
            matrix = assemble(encode(golden["columns"], self.fitted), self.fitted)
            expected = unpack_array(golden["probabilities"])
        except (ContractError, KeyError, TypeError) as error:
            raise IncompatibleArtifactError(f"the golden rows of the artifact are malformed: {error}") from error
        if len(matrix) == 0 or expected.shape != (len(matrix), N_BUCKETS):
            raise IncompatibleArtifactError(f"{len(matrix)} golden rows have answers of shape {expected.shape}")
        answers = {
            "together": self.engine.margins_of_many(matrix),
            "one by one": np.concatenate([self.engine.margins(matrix[i : i + 1]) for i in range(len(matrix))]),
        }
        for how, margins in answers.items():
            difference = float(np.abs(softmax(margins) - expected).max())
            if not difference <= GOLDEN_TOLERANCE:
                raise GoldenRowsError(
                    f"golden rows predicted {how} differ by {difference:.2e} from the recorded answers (limit "
                    f"{GOLDEN_TOLERANCE:.0e}); another XGBoost than {self.manifest.runtime.xgboost} or a damaged "
                    "model. Serve with the version that wrote it, or train again."
                )


def golden_payload(columns: dict[str, list[Any]], probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Golden rows as they travel: made-up merchants and the answers recorded when the model was trained."""
    return {"columns": columns, "probabilities": pack_array(probabilities)}


def load_predictor(directory: Path, expected: VersionRef | None = None, *, threads: int = 1) -> Predictor:
    """Verify, read and self-test `models/<version>`.

    Raises:
        ArtifactError: for every reason not to serve it; see `read_artifact` and `Predictor`.
    """
    return Predictor(read_artifact(directory, expected), threads=threads)
