"""What a model must beat: the buckets' shares, and a plain multinomial logistic regression on the raw inputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from app.contract.buckets import N_BUCKETS
from app.contract.inputs import RAW_INPUTS
from training.metrics import checked_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from training.metrics import Floats, Ints

MIN_FREQUENCY: Final = 50
"""Categories with fewer training rows share one indicator; it bounds the time as well as the variance."""

MAX_ITERATIONS: Final = 400
"""A bound on the time; 50,000 merchants converge before it, in a few seconds."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Answers of a baseline.

    Attributes:
        probabilities: float64 (n, 5).
        predicted: the most probable bucket, int64 (n,).
    """

    probabilities: Floats
    predicted: Ints


def majority_baseline(shares: ArrayLike, n: int) -> Baseline:
    """Answer every one of `n` rows with the shares of the buckets, (5,), and decide for the largest."""
    given = np.asarray(shares, dtype=np.float64)
    return Baseline(
        probabilities=np.tile(given / given.sum(), (n, 1)),
        predicted=np.full(n, given.argmax(), dtype=np.int64),
    )


def logistic_baseline(
    train_columns: Mapping[str, ArrayLike],
    train_labels: ArrayLike,
    columns: Mapping[str, ArrayLike],
) -> Baseline:
    """Fit a multinomial logistic regression on the raw inputs and answer `columns`.

    Categories are one-hot encoded, rare and unseen ones together; capital and establishments enter as standardised
    logarithms. Nothing is tuned.

    Args:
        train_columns: the 13 raw inputs by name, each (m,).
        train_labels: int (m,), at least two buckets.
        columns: the 13 raw inputs of the rows to answer, each (n,).

    Raises:
        KeyError: an input is missing.
        ValueError: training holds fewer than two buckets, or lengths disagree.
    """
    labels = checked_labels(train_labels)
    if np.unique(labels).size < 2:  # noqa: PLR2004 - one bucket leaves nothing to separate
        raise ValueError("train_labels holds one bucket only; a logistic baseline needs at least two")
    nominal = [raw.name for raw in RAW_INPUTS if raw.categorical]
    numeric = [raw.name for raw in RAW_INPUTS if not raw.categorical]
    model = Pipeline(
        [
            (
                "inputs",
                ColumnTransformer(
                    [
                        (
                            "nominal",
                            OneHotEncoder(
                                min_frequency=MIN_FREQUENCY, handle_unknown="infrequent_if_exist", dtype=np.float64
                            ),
                            nominal,
                        ),
                        ("numeric", StandardScaler(), numeric),
                    ]
                ),
            ),
            ("logistic", LogisticRegression(max_iter=MAX_ITERATIONS)),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations are bounded on purpose
        warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
        model.fit(_table(train_columns, nominal, numeric), labels)
        answered = model.predict_proba(_table(columns, nominal, numeric))
    probabilities = np.zeros((len(answered), N_BUCKETS))
    probabilities[:, model.classes_] = answered
    return Baseline(probabilities=probabilities, predicted=probabilities.argmax(axis=1))


def _table(columns: Mapping[str, ArrayLike], nominal: list[str], numeric: list[str]) -> pd.DataFrame:
    table: dict[str, object] = {}
    for name in nominal:
        values = pd.Series(np.asarray(columns[name], dtype=object), dtype=object)
        table[name] = values.where(values.notna(), "missing").astype(str).astype(object)
    for name in numeric:
        table[name] = np.log1p(np.nan_to_num(np.asarray(columns[name], dtype=np.float64), nan=0.0))
    return pd.DataFrame(table)
