"""Margins of the booster: one engine for a few rows, XGBoost's own for many.

XGBoost spends a fixed 0.2 ms a call and one to two µs a tree before it comes to the rows. `TreeWalker` walks all trees
of the same booster at once, level by level, with numpy gathers, which costs a few calls a level however many trees
there are. For many rows XGBoost's blocked kernels win; `benchmarks/engine.py` measures where they cross. Both give the
same bits.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from app.contract.buckets import N_BUCKETS
from app.errors import IncompatibleArtifactError
from app.model.lean_xgboost import xgb
from app.model.priority import give_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from app.contract.features import Matrix

WALK_ROWS: Final = 64
"""Up to this many rows may be walked one by one."""
_CHUNKS_A_THREAD: Final = 2
_LEAST_CHUNK_ROWS: Final = 500
"""Fewer rows are not worth the fixed cost of a call, which is that of some 50 rows."""
_LEAST_EXPLAINED_ROWS: Final = 16
_LEAST_WALK_ROWS: Final = 10
_TREES_A_WALKED_ROW: Final = 60
"""XGBoost spends a share of each call on every tree, so that the more trees, the more rows are walked faster."""


class TreeWalker:
    """Evaluates a gradient-boosted tree ensemble on one row at a time, to the bit as XGBoost does.

    Thousands of nodes ask few different questions, since boosters split at the edges of histogram bins: each question
    `value >= threshold` is answered once a row, and nodes look its answer up. A row is laid out twice, with NaN as -inf
    and as +inf; a question reads the copy that sends NaN down the default branch.

    Every tree is padded to a perfect one and stored level by level, so the place of a node in the next level is twice
    its own plus the answer. A leaf above the last level asks a question that is never true and hands its value down to
    the left. Leaves are added up in float32, one after the other and the intercept first, which is XGBoost's order.

    Safe for several threads at once: each has scratch arrays of its own.

    Args:
        booster: a `gbtree` model with numeric splits.
        outputs: number of margins a row.

    Raises:
        IncompatibleArtifactError: the booster holds something that cannot be walked.
    """

    def __init__(self, booster: xgb.Booster, outputs: int = N_BUCKETS) -> None:
        learner = _described(booster)["learner"]
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
        self.trees = len(trees)
        each = int(np.bincount(groups).max())
        by_output = [[trees[index] for index in np.flatnonzero(groups == group)] for group in range(outputs)]
        slots: list[dict[str, Any]] = [
            own[turn] if turn < len(own) else _NOTHING for turn in range(each) for own in by_output
        ]
        perfect = _perfect(slots, self.features)
        self._feature, self._threshold = perfect.feature, perfect.threshold
        self._leaf = perfect.leaf
        self._root = perfect.levels[0]
        # Half of a walk is waiting for memory: narrow numbers keep the questions of all nodes near.
        narrow = np.min_scalar_type(len(self._feature))
        self._levels = [level.astype(narrow) for level in perfect.levels[1:]]
        self._children = 2 * np.arange(len(slots))
        intercept = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32)
        self._scratch = _Scratch(self.features, len(self._feature), narrow, each, intercept)

    def margins(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the margins of one row: float32 (f,) in, float64 (outputs,) out."""
        width, scratch = self.features, self._scratch
        copies, value, answer = scratch.row, scratch.value, scratch.answer
        node, found, question, right = scratch.node, scratch.found, scratch.question, scratch.right
        copies[:width] = row
        copies[width:-1] = row
        absent = np.isnan(row)
        if absent.any():
            copies[:width][absent] = -np.inf
            copies[width:-1][absent] = np.inf
        # Output arrays with mode "clip" spare numpy a buffer; no index is ever out of bounds.
        copies.take(self._feature, out=value, mode="clip")
        np.greater_equal(value, self._threshold, out=scratch.reached)
        np.copyto(answer, scratch.reached)
        answer.take(self._root, out=right, mode="clip")
        np.add(self._children, right, out=node)
        for level in self._levels:
            level.take(node, out=found, mode="clip")
            np.copyto(question, found)
            answer.take(question, out=right, mode="clip")
            np.add(node, node, out=node)
            np.add(node, right, out=node)
        self._leaf.take(node, out=scratch.leaves, mode="clip")
        # A reduction would add in pairs.
        sums: NDArray[np.float64] = np.add.accumulate(scratch.terms, axis=0)[-1].astype(np.float64)
        return sums


class _Scratch(threading.local):
    """What a walk writes to: arrays of each thread's own, made when it first walks.

    Args:
        features: columns of a row.
        questions: different ones that the nodes ask.
        narrow: type of their numbers in the levels.
        each: trees of an output.
        intercept: float32 (outputs,).
    """

    def __init__(
        self, features: int, questions: int, narrow: np.dtype[Any], each: int, intercept: NDArray[np.float32]
    ) -> None:
        trees = each * len(intercept)
        self.row = np.empty(2 * features + 1, dtype=np.float32)
        self.row[-1] = -np.inf
        self.value = np.empty(questions, dtype=np.float32)
        self.reached = np.empty(questions, dtype=np.bool_)
        self.answer = np.empty(questions, dtype=np.intp)
        self.node = np.empty(trees, dtype=np.intp)
        self.found = np.empty(trees, dtype=narrow)
        self.question = np.empty(trees, dtype=np.intp)
        self.right = np.empty(trees, dtype=np.intp)
        self.terms = np.empty((1 + each, len(intercept)), dtype=np.float32)
        self.terms[0] = intercept
        self.leaves = self.terms[1:].reshape(-1)


def _described(booster: xgb.Booster) -> dict[str, Any]:
    """Give XGBoost's own JSON of a booster, which is most of what loading a model costs."""
    text = bytes(booster.save_raw("json"))
    try:
        described: dict[str, Any] = msgspec.json.decode(text)
    except msgspec.DecodeError:  # XGBoost writes infinities, which only Python's own decoder reads
        described = json.loads(text)
    return described


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


class _Perfect(NamedTuple):
    """Trees padded to one depth.

    Attributes:
        feature: intp (q,), by question the place of its value in a row laid out twice; the last is never true.
        threshold: float32 (q,), by question.
        levels: by level, one at least, the question of each node, intp (trees * 2**level,).
        leaf: float32 (trees * 2**depth,), the leaves below the last level.
    """

    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    levels: list[NDArray[np.intp]]
    leaf: NDArray[np.float32]


def _perfect(trees: list[dict[str, Any]], features: int) -> _Perfect:
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
    # A question as one integer: those of leaves, on the value behind both copies, come last.
    _, examples, question = np.unique(feature << 32 | threshold.view(np.uint32), return_index=True, return_inverse=True)
    node = first[:, None]
    levels: list[NDArray[np.intp]] = []
    while not (levels and leaf[node].all()):
        if len(levels) == _MAX_DEPTH:
            raise IncompatibleArtifactError(f"the booster has trees deeper than {_MAX_DEPTH} levels")
        levels.append(question[node].ravel())
        node = np.stack([left[node], right[node]], axis=2).reshape(len(trees), -1)
    return _Perfect(feature[examples], threshold[examples], levels, conditions[node].ravel())


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Give the threads that share the rows of large batches, the same for all models of the process."""
    return ThreadPoolExecutor(threads, thread_name_prefix="model", initializer=give_way)


class Engine:
    """Margins of n merchants by whichever way is faster. Safe for several threads at once.

    Large batches are cut into chunks, and threads take one after the other, so that batches that come together share
    the processors evenly; each chunk is computed by one thread. XGBoost's own threads would be as many for every
    batch, and would wait for the slowest of them.

    Attributes:
        walk_rows: up to this many rows are walked one by one; beyond it XGBoost is faster.

    Args:
        booster: UBJSON bytes of a multi-class booster.
        features: columns of the matrix it was trained on.
        threads: that share a large batch.

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
        self.booster.set_param({"nthread": 1})
        self._threads = threads
        self._walker = TreeWalker(self.booster, outputs)
        self.walk_rows = min(WALK_ROWS, _LEAST_WALK_ROWS + self._walker.trees // _TREES_A_WALKED_ROW)

    def margins(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the margins: float32 (n, f) in, float64 (n, outputs) out."""
        if len(matrix) == 1:
            return self._walker.margins(matrix[0])[None]
        if len(matrix) <= self.walk_rows:
            return np.array([self._walker.margins(row) for row in matrix]).reshape(len(matrix), self.outputs)
        return self.margins_of_many(matrix)

    def margins_of_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the same by XGBoost itself."""

        def compute(rows: Matrix) -> NDArray[np.float32]:
            return np.asarray(self.booster.inplace_predict(rows, predict_type="margin"))

        return self._spread(compute, matrix, _LEAST_CHUNK_ROWS).reshape(len(matrix), self.outputs)

    def contributions(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give TreeSHAP values of every margin, the base last: float32 (n, f) in, float64 (n, outputs, f + 1) out."""

        def compute(rows: Matrix) -> NDArray[np.float32]:
            return np.asarray(self.booster.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True))

        return self._spread(compute, matrix, _LEAST_EXPLAINED_ROWS).reshape(len(matrix), self.outputs, -1)

    def _spread(
        self, compute: Callable[[Matrix], NDArray[np.float32]], matrix: Matrix, least: int
    ) -> NDArray[np.float64]:
        if self._threads == 1 or len(matrix) <= least:
            return compute(matrix).astype(np.float64)
        chunk = max(least, -(-len(matrix) // (_CHUNKS_A_THREAD * self._threads)))
        chunks = [matrix[start : start + chunk] for start in range(0, len(matrix), chunk)]
        return np.concatenate(list(_pool(self._threads).map(compute, chunks)), dtype=np.float64)
