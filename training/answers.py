"""A version's answers on its test rows, kept so that another version can be compared on the same merchants.

Rows are known by the seeded hash that also splits them, so nothing of a merchant is kept but its bucket.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from app.contract.artifact import read_bounded
from app.contract.buckets import N_BUCKETS
from app.errors import IncompatibleArtifactError
from training.split import uniform_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.prepare import Prepared

_KEY_SEED: Final = 0
_MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True)
class Answers:
    """Test rows of one version.

    Attributes:
        keys: float64 (n,), the same for identical merchants in every version.
        labels: int8 (n,), true buckets.
        probabilities: float64 (n, 5).
        shares: float64 (5,), of the buckets in the rows learned from: the majority baseline.
    """

    FILE_NAME: ClassVar[str] = "test_answers.npz"

    keys: NDArray[np.float64]
    labels: NDArray[np.int8]
    probabilities: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: NDArray[np.float64], prepared: Prepared) -> Answers:
        """Key the probabilities of the test rows, float64 (n, 5) in their order."""
        rows = prepared.split.test
        learned = np.concatenate([prepared.split.train, prepared.split.validation])
        return cls(
            keys=uniform_of(prepared.frame.iloc[rows], _KEY_SEED),
            labels=prepared.labels[rows],
            probabilities=probabilities,
            shares=np.bincount(prepared.labels[learned], minlength=N_BUCKETS) / len(learned),
        )

    def common_with(self, other: Answers) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give positions of the merchants that are test rows of both, in this one and in the other."""
        first_keys, first = np.unique(other.keys, return_index=True)
        found = np.searchsorted(first_keys, self.keys).clip(max=len(first_keys) - 1)
        mine = np.flatnonzero(first_keys[found] == self.keys)
        return mine, first[found[mine]]

    def to_bytes(self) -> bytes:
        """An uncompressed .npz without pickles; equal answers give equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, keys=self.keys, labels=self.labels, probabilities=self.probabilities, shares=self.shares)
        return buffer.getvalue()

    @classmethod
    def read(cls, directory: Path) -> Answers:
        """Read a version's answers.

        Raises:
            ArtifactError: the version has none, or they are malformed.
        """
        data = read_bounded(directory / cls.FILE_NAME, _MAX_BYTES)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                return cls(*(stored[name] for name in ("keys", "labels", "probabilities", "shares")))
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise IncompatibleArtifactError(f"{directory / cls.FILE_NAME} is malformed: {error}") from error
