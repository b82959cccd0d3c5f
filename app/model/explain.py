"""Why this bucket: exact TreeSHAP contributions of the thirteen raw inputs.

TreeSHAP (Lundberg et al., From local explanations to global understanding with explainable AI for trees, 2020) splits
each margin exactly among the features. The quantities people ask about, the log-odds of the chosen bucket and the
expected bucket index, are smooth functions of the five margins; their change from the average merchant to this one is
integrated along the straight line between the two margin vectors and credited to the inputs in proportion to what each
adds to each margin (Aumann and Shapley 1974), so the contributions sum to the change itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.contract.inputs import RAW_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_STEPS: Final = (_NODES + 1.0) / 2.0
_STEP_WEIGHTS: Final = _WEIGHTS / 2.0
_INDICES: Final = np.arange(N_BUCKETS, dtype=np.float64)


@dataclass(frozen=True)
class Contributions:
    """Additive reasons, in `RAW_NAMES` order.

    Attributes:
        log_odds: float64 (n, 13), of the chosen bucket against all others; with `log_odds_base` (n,) they sum to
            its log-odds.
        index: float64 (n, 13), of the expected bucket index 0-4; with `index_base` (n,) they sum to it.
    """

    log_odds: NDArray[np.float64]
    log_odds_base: NDArray[np.float64]
    index: NDArray[np.float64]
    index_base: NDArray[np.float64]


def softmax(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities from margins along the last axis."""
    # The reductions themselves: the methods of arrays go through Python, which a single merchant notices.
    exponentials = np.exp(margins - np.maximum.reduce(margins, axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / np.add.reduce(exponentials, axis=-1, keepdims=True)
    return probabilities


def explain(shap: NDArray[np.float64], chosen: NDArray[np.int8], feature_inputs: tuple[str, ...]) -> Contributions:
    """Explain n merchants.

    Args:
        shap: TreeSHAP values of the merged classifier's margins, float64 (n, 5, f + 1), the base last.
        chosen: int8 (n,), buckets to explain.
        feature_inputs: by matrix column, the raw input it comes from.
    """
    by_input = np.zeros((len(RAW_NAMES), len(feature_inputs)))
    by_input[[RAW_NAMES.index(name) for name in feature_inputs], np.arange(len(feature_inputs))] = 1.0
    added = np.einsum("nkf,if->nik", shap[:, :, :-1], by_input)
    base = shap[:, :, -1]
    rows = np.arange(len(shap))
    one_hot = np.zeros((len(shap), N_BUCKETS))
    one_hot[rows, chosen] = 1.0

    def log_odds_gradient(margins: NDArray[np.float64]) -> NDArray[np.float64]:
        others = np.where(one_hot == 1.0, -np.inf, margins)
        return one_hot - softmax(others)

    def index_gradient(margins: NDArray[np.float64]) -> NDArray[np.float64]:
        probabilities = softmax(margins)
        expected = probabilities @ _INDICES
        return probabilities * (_INDICES - expected[:, None])

    return Contributions(
        log_odds=_along(base, added, log_odds_gradient),
        log_odds_base=log_odds(base, chosen),
        index=_along(base, added, index_gradient),
        index_base=softmax(base) @ _INDICES,
    )


def log_odds(margins: NDArray[np.float64], chosen: NDArray[np.int8]) -> NDArray[np.float64]:
    """Log-odds of one bucket a row against all others: margins (n, 5), chosen (n,)."""
    rows = np.arange(len(margins))
    others = margins.copy()
    others[rows, chosen] = -np.inf
    top = others.max(axis=1)
    odds: NDArray[np.float64] = margins[rows, chosen] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return odds


def _along(
    base: NDArray[np.float64],
    added: NDArray[np.float64],
    gradient: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Integrate the gradient from base to base + sum of added, and credit the inputs: (n, 13)."""
    change = added.sum(axis=1)
    mean = sum(
        (weight * gradient(base + step * change) for step, weight in zip(_STEPS, _STEP_WEIGHTS, strict=True)),
        start=np.zeros_like(base),
    )
    credited: NDArray[np.float64] = np.einsum("nik,nk->ni", added, mean)
    return credited
