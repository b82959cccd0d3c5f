"""What an artifact says of itself, and which artifact is the champion."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads it at run time
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL: Final = 1
"""Version of the payload's layout; a reader refuses any other."""

MANIFEST_NAME: Final = "manifest.json"
MODEL_NAME: Final = "model.joblib"
CHAMPION_NAME: Final = "champion.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Frozen):
    """A file of the version directory: digest and size in bytes."""

    sha256: Sha256
    size: int = Field(ge=0)


class DataIdentity(_Frozen):
    """The data a model was made from."""

    sha256: Sha256
    rows: int = Field(ge=0)
    synthetic: bool
    amounts_are_real: bool


class Runtime(_Frozen):
    """Versions that wrote the artifact."""

    python: str
    xgboost: str
    numpy: str
    joblib: str


class Manifest(_Frozen):
    """The identity of one immutable version directory.

    Attributes:
        protocol: payload layout, see `PROTOCOL`.
        version: `YYYYMMDDTHHMMSSZ-` and the first eight digits of the model's sha256.
        created_at: UTC.
        files: by file name, every file of the directory but the manifest.
        feature_fingerprint: sha256 of the feature names in matrix order and the raw inputs they come from.
        components: sha256 of each separately trained part of the payload.
        decision_rule: how a bucket is chosen from the probabilities.
        git_commit: of the training code, `-dirty` with uncommitted changes, or None when not known.
        seed: of split and fit.
        threads: of the fit; the digest is reproducible for the same data, seed and threads.
        params: everything tuned or configured that shaped the model.
        metrics: of the untouched test split, by name.
        training_shares: share of each bucket among all rows of the data, in bucket order.
        unknown_shares: by categorical input, the share of test rows with a category that the training rows lack.
        missing_shares: by input, the share of test rows that are null.
    """

    protocol: int
    version: Version
    created_at: datetime
    files: dict[str, FileEntry]
    feature_fingerprint: Sha256
    components: dict[str, Sha256]
    decision_rule: str
    data: DataIdentity
    runtime: Runtime
    git_commit: str | None
    seed: int
    threads: int
    params: dict[str, Any]
    metrics: dict[str, Any]
    training_shares: tuple[float, ...]
    unknown_shares: dict[str, float]
    missing_shares: dict[str, float]

    @property
    def model_sha256(self) -> str:
        """Digest of `model.joblib`."""
        return self.files[MODEL_NAME].sha256


class VersionRef(_Frozen):
    """A version pinned by the digests of its model and its manifest."""

    version: Version
    model_sha256: Sha256
    manifest_sha256: Sha256


class ChampionPointer(VersionRef):
    """`models/champion.json`: the version to serve and the one to roll back to.

    Attributes:
        promoted_at: UTC, of a rollback too.
        forced: whether it became champion although the gate refused it, or could not compare it.
        rolled_back: whether it is champion again by a rollback, which asks no gate.
        previous: the champion before it, or None.
    """

    promoted_at: datetime
    forced: bool
    rolled_back: bool = False
    previous: VersionRef | None
