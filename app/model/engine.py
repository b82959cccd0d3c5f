"""Margins of the booster: one engine for a few rows, XGBoost's own for many.

XGBoost spends a fixed 0.2 ms a call and about 0.3 µs a tree on a single row. `TreeWalker` walks all trees of the same
booster at once, level by level, with numpy gathers, which costs a few calls a level however many trees there are. For
many rows XGBoost's blocked kernels win; `benchmarks/engine.py` measures where they cross. Both give the same bits.
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
    """Evaluates a gradient-boosted tree ensemble on one row at a time, to the bit as XGBoost does.

    Every tree is padded to a perfect one and stored level by level, so the place of a node in the next level is twice
    its own plus `value >= threshold`. A row is laid out twice, with NaN as -inf and as +inf; a node reads the copy that
    sends NaN down its default branch. A leaf above the last level compares -inf with +inf and hands its value down to
    the left. Leaves are added up in float32, one after the other and the intercept first, which is XGBoost's order.

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
        if not trees:
            raise IncompatibleArtifactError("the booster has no trees")
        if len(np.unique(groups)) != outputs:
            raise IncompatibleArtifactError(f"the booster has {len(np.unique(groups))} outputs, not {outputs}")
        self.features = booster.num_features()
        each = int(np.bincount(groups).max())
        slots: list[dict[str, Any]] = []
        for group in range(outputs):
            own = [trees[index] for index in np.flatnonzero(groups == group)]
            slots += own + [_NOTHING] * (each - len(own))
        self._levels, self._leaf = _perfect(slots, self.features)
        count = len(slots)
        self._tree = np.arange(count)
        self._node = np.empty(count, dtype=np.intp)
        self._gathered = np.empty(count, dtype=np.intp)
        self._value = np.empty(count, dtype=np.float32)
        self._edge = np.empty(count, dtype=np.float32)
        self._right = np.empty(count, dtype=np.bool_)
        self._row = np.empty(2 * self.features + 1, dtype=np.float32)
        self._row[-1] = -np.inf
        self._sums = np.empty((outputs, 1 + each), dtype=np.float32)
        self._intercept = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32)

    def margins(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the margins of one row: float32 (f,) in, float64 (outputs,) out."""
        width, node, gathered = self.features, self._node, self._gathered
        value, edge, right, copies = self._value, self._edge, self._right, self._row
        copies[:width] = row
        copies[width:-1] = row
        absent = np.isnan(row)
        if absent.any():
            copies[:width][absent] = -np.inf
            copies[width:-1][absent] = np.inf
        np.copyto(node, self._tree)
        for feature, threshold in self._levels:
            feature.take(node, out=gathered, mode="clip")
            copies.take(gathered, out=value, mode="clip")
            threshold.take(node, out=edge, mode="clip")
            np.greater_equal(value, edge, out=right)
            np.add(node, node, out=node)
            np.add(node, right, out=node)
        sums = self._sums
        sums[:, 0] = self._intercept
        sums[:, 1:] = self._leaf.take(node).reshape(len(sums), -1)
        return sums.cumsum(axis=1)[:, -1].astype(np.float64)


_MAX_DEPTH: Final = 12
"""A perfect tree doubles with each level; deeper ones would not fit into a cache, nor soon into memory."""
_NOTHING: Final = {
    "left_children": [-1],
    "right_children": [-1],
    "split_indices": [0],
    "split_conditions": [0.0],
    "default_left": [1],
    "categories_nodes": [],
}
"""A tree that adds nothing, where an output has fewer trees than another."""


def _perfect(
    trees: list[dict[str, Any]], features: int
) -> tuple[list[tuple[NDArray[np.intp], NDArray[np.float32]]], NDArray[np.float32]]:
    """Give (feature, threshold) by level, each (trees * 2**level,), and the leaves below the last level."""
    if any(tree["categories_nodes"] for tree in trees):
        raise IncompatibleArtifactError("the booster splits on categories; only numeric splits are served")
    sizes = np.array([len(tree["left_children"]) for tree in trees])
    first = np.cumsum(sizes) - sizes

    def joined(key: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([np.asarray(tree[key], dtype=dtype) for tree in trees])

    left, right = joined("left_children", np.intp), joined("right_children", np.intp)
    leaf = left < 0
    own, offset = np.arange(len(left)), np.repeat(first, sizes)
    left, right = np.where(leaf, own, left + offset), np.where(leaf, own, right + offset)
    conditions = joined("split_conditions", np.float32)
    split = joined("split_indices", np.intp) + np.where(joined("default_left", np.bool_), 0, features)
    feature = np.where(leaf, 2 * features, split)
    threshold = np.where(leaf, np.float32(np.inf), conditions)
    node = first[:, None]
    levels: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
    while not leaf[node].all():
        if len(levels) == _MAX_DEPTH:
            raise IncompatibleArtifactError(f"the booster has trees deeper than {_MAX_DEPTH} levels")
        levels.append((feature[node].ravel(), threshold[node].ravel()))
        node = np.stack([left[node], right[node]], axis=2).reshape(len(trees), -1)
    return levels, conditions[node].ravel()


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
        if not booster:  # XGBoost ends the process when it is given no bytes at all
            raise IncompatibleArtifactError("the artifact holds an empty booster")
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
