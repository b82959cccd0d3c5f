"""Margins of the booster: one engine for a few rows, XGBoost's own for many.

XGBoost spends a fixed 0.2 ms a call and about 0.3 µs a tree on a single row. `TreeWalker` walks all trees of the same
booster at once, level by level, with numpy gathers over flat node arrays, which costs a few calls a level however many
trees there are. For many rows XGBoost's blocked kernels win; `benchmarks/` measures where they cross.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.errors import IncompatibleArtifactError
from app.model.lean_xgboost import xgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.features import Matrix

WALK_ROWS: Final = 8
"""Up to this many rows are walked one by one; beyond it XGBoost is faster."""


class TreeWalker:
    """Evaluates a gradient-boosted tree ensemble on one row at a time.

    A node's children stand side by side, so the next node is `left + (value >= threshold)`. A row is laid out twice,
    with NaN as -inf and as +inf; a node reads the copy that sends NaN down its default branch. Leaves point to
    themselves and compare -inf with +inf, so shallow trees wait for deep ones.

    Not safe for use by several threads at once: the scratch arrays are shared between calls.

    Args:
        booster: a `gbtree` model with numeric splits.
        outputs: number of margins a row.

    Raises:
        IncompatibleArtifactError: the booster holds something that cannot be walked.
    """

    def __init__(self, booster: xgb.Booster, outputs: int = N_BUCKETS) -> None:
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        try:
            model = learner["gradient_booster"]["model"]
            trees, groups = model["trees"], np.asarray(model["tree_info"])
        except KeyError as error:
            raise IncompatibleArtifactError(f"the booster is not a gbtree model: no {error}") from error
        self.features = booster.num_features()
        order = np.argsort(groups, kind="stable")
        flat = [_flatten(trees[tree], self.features) for tree in order]
        sizes = np.array([len(nodes["left"]) for nodes in flat])
        self._roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        self._depth = max(int(nodes["depth"]) for nodes in flat)
        offsets = np.repeat(self._roots, sizes)
        self._left = (np.concatenate([nodes["left"] for nodes in flat]) + offsets).astype(np.intp)
        self._feature = np.concatenate([nodes["feature"] for nodes in flat]).astype(np.intp)
        self._threshold = np.concatenate([nodes["threshold"] for nodes in flat]).astype(np.float32)
        self._leaf = np.concatenate([nodes["leaf"] for nodes in flat]).astype(np.float64)
        self._starts = np.searchsorted(groups[order], np.arange(outputs))
        if len(np.unique(groups)) != outputs:
            raise IncompatibleArtifactError(f"the booster has {len(np.unique(groups))} outputs, not {outputs}")
        count = len(flat)
        self._node = np.empty(count, dtype=np.intp)
        self._gathered = np.empty(count, dtype=np.intp)
        self._value = np.empty(count, dtype=np.float32)
        self._edge = np.empty(count, dtype=np.float32)
        self._right = np.empty(count, dtype=np.bool_)
        self._row = np.empty(2 * self.features + 1, dtype=np.float32)
        self._row[-1] = -np.inf
        self._intercept = np.zeros(outputs)
        zero = np.zeros((1, self.features), dtype=np.float32)
        reference = np.asarray(booster.inplace_predict(zero, predict_type="margin"), dtype=np.float64)
        self._intercept = reference.reshape(-1) - self.margins(zero[0])

    def margins(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the margins of one row: float32 (f,) in, float64 (outputs,) out."""
        width, node = self.features, self._node
        absent = np.isnan(row)
        np.copyto(self._row[:width], row)
        np.copyto(self._row[width:-1], row)
        if absent.any():
            self._row[:width][absent] = -np.inf
            self._row[width:-1][absent] = np.inf
        np.copyto(node, self._roots)
        for _ in range(self._depth):
            self._feature.take(node, out=self._gathered, mode="clip")
            self._row.take(self._gathered, out=self._value, mode="clip")
            self._threshold.take(node, out=self._edge, mode="clip")
            np.greater_equal(self._value, self._edge, out=self._right)
            self._left.take(node, out=self._gathered, mode="clip")
            np.add(self._gathered, self._right, out=node)
        margins: NDArray[np.float64] = np.add.reduceat(self._leaf.take(node), self._starts) + self._intercept
        return margins


def _flatten(tree: dict[str, Any], features: int) -> dict[str, Any]:
    """Renumber a tree breadth first, so that the right child follows the left one."""
    if any(tree["categories_nodes"]):
        raise IncompatibleArtifactError("the booster splits on categories; only numeric splits are served")
    left, right = tree["left_children"], tree["right_children"]
    order, level, position = [0], [0], {0: 0}
    for place, node in enumerate(order):  # grows while it is read
        if left[node] >= 0:
            for child in (left[node], right[node]):
                position[child] = len(order)
                order.append(child)
                level.append(level[place] + 1)
    nodes = np.array(order)
    is_leaf = np.asarray(left)[nodes] < 0
    conditions = np.asarray(tree["split_conditions"], dtype=np.float64)[nodes]
    default_right = np.asarray(tree["default_left"])[nodes] == 0
    split = np.asarray(tree["split_indices"])[nodes] + np.where(default_right, features, 0)
    first_child = [place if left[node] < 0 else position[left[node]] for place, node in enumerate(order)]
    return {
        "left": np.array(first_child),
        "feature": np.where(is_leaf, 2 * features, split),
        "threshold": np.where(is_leaf, np.inf, conditions),
        "leaf": np.where(is_leaf, conditions, 0.0),
        "depth": max(level),
    }


class Engine:
    """Margins of n merchants by whichever way is faster.

    Args:
        booster: UBJSON bytes of a multi-class booster.
        features: columns of the matrix it was trained on.
        threads: OpenMP threads for many rows.

    Raises:
        IncompatibleArtifactError: XGBoost cannot read the bytes, or the booster does not fit the features.
    """

    def __init__(self, booster: bytes, *, features: int, outputs: int = N_BUCKETS, threads: int = 1) -> None:
        try:
            self.booster = xgb.Booster(model_file=bytearray(booster))
        except xgb.core.XGBoostError as error:
            raise IncompatibleArtifactError("XGBoost cannot read the booster of the artifact") from error
        if self.booster.num_features() != features:
            raise IncompatibleArtifactError(
                f"the booster expects {self.booster.num_features()} features, the contract builds {features}"
            )
        self.outputs = outputs
        self.booster.set_param({"nthread": threads})
        self._walker = TreeWalker(self.booster, outputs)

    def margins(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the margins: float32 (n, f) in, float64 (n, outputs) out."""
        if len(matrix) <= WALK_ROWS:
            return np.array([self._walker.margins(row) for row in matrix]).reshape(len(matrix), self.outputs)
        return self.margins_of_many(matrix)

    def margins_of_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the same by XGBoost itself."""
        margins = np.asarray(self.booster.inplace_predict(matrix, predict_type="margin"), dtype=np.float64)
        return margins.reshape(len(matrix), self.outputs)
