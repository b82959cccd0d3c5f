"""The models directory: immutable versions and the champion pointer."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import ValidationError

from app.contract.artifact import (
    read_artifact,
    read_bounded,
    read_champion,
    read_manifest,
    sha256_of,
    to_json,
    write_file,
)
from app.contract.manifest import CHAMPION_NAME, MANIFEST_NAME, ChampionPointer, Manifest, VersionRef
from app.errors import ArtifactError, ArtifactMissingError, DigestMismatchError, TPVError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_NAME: Final = ".registry.lock"
_MAX_FILE_BYTES: Final = 256 * 1024 * 1024


class RegistryError(TPVError):
    """A version cannot be found, promoted or rolled back; the message says what to do."""

    code: ClassVar[str] = "registry"


@dataclass(frozen=True, slots=True)
class Listed:
    """A version as `tpv versions` shows it.

    Attributes:
        version: its directory's name.
        manifest: or None when the version cannot be used.
        problem: why not, or None.
        champion: whether it serves.
        previous: whether `tpv rollback` leads to it.
    """

    version: str
    manifest: Manifest | None
    problem: str | None
    champion: bool
    previous: bool


def champion(models: Path) -> ChampionPointer | None:
    """The champion pointer, or None before the first promotion.

    Raises:
        ArtifactError: there is a pointer that cannot be read.
    """
    try:
        return read_champion(models)
    except ArtifactMissingError:
        if (models / CHAMPION_NAME).exists():
            raise
        return None


def versions(models: Path) -> list[Listed]:
    """Every version of the directory, oldest first, each with its files checked against their digests."""
    pointer = champion(models)
    found = []
    for directory in sorted(path.parent for path in models.glob(f"[0-9]*/{MANIFEST_NAME}")):
        try:
            manifest, problem = verify_files(directory), None
        except ArtifactError as error:
            manifest, problem = None, str(error)
        found.append(
            Listed(
                version=directory.name,
                manifest=manifest,
                problem=problem,
                champion=pointer is not None and pointer.version == directory.name,
                previous=bool(pointer and pointer.previous and pointer.previous.version == directory.name),
            )
        )
    return found


def verify_files(directory: Path) -> Manifest:
    """Check every file of a version against the manifest.

    Raises:
        ArtifactError: a file is absent or was changed.
    """
    manifest, _ = read_manifest(directory)
    for name, entry in manifest.files.items():
        if sha256_of(read_bounded(directory / name, _MAX_FILE_BYTES)) != entry.sha256:
            raise DigestMismatchError(f"{directory / name} was changed after it was written")
    return manifest


def reference(models: Path, version: str) -> VersionRef:
    """Verify a version and give the digests that pin it.

    Raises:
        RegistryError: there is no such version.
        ArtifactError: it must not be served.
    """
    directory = models / version
    if "/" in version or not (directory / MANIFEST_NAME).is_file():
        known = [listed.version for listed in versions(models)] if models.is_dir() else []
        raise RegistryError(
            f"VERSION: there is no version {version!r} in {models}; it holds {', '.join(known) or 'none'}. "
            "Train one with `tpv run FILE`."
        )
    return read_artifact(directory).ref


def promote(models: Path, version: str, *, forced: bool = False) -> ChampionPointer:
    """Make a version the champion; the former one becomes `previous`.

    The pointer is replaced in one step: a reader sees the old or the new one. Promotions take turns.

    Raises:
        RegistryError: there is no such version.
        ArtifactError: it must not be served.
    """
    with exclusive(models):
        return place(models, version, forced=forced)


def place(models: Path, version: str, *, forced: bool) -> ChampionPointer:
    """Do what `promote` does, for a caller that holds `exclusive` already."""
    ref, before = reference(models, version), champion(models)
    if before is not None and before.version == version:
        return before
    return _point(models, ref, before, forced=forced)


def rollback(models: Path) -> ChampionPointer:
    """Go back to the previous champion; a second rollback undoes the first.

    No gate is asked, and the pointer records that it was a rollback.

    Raises:
        RegistryError: there is none.
        ArtifactError: it must not be served.
    """
    with exclusive(models):
        before = champion(models)
        if before is None or before.previous is None:
            raise RegistryError(f"{models / CHAMPION_NAME} names no previous champion; promote a version instead.")
        ref = reference(models, before.previous.version)
        if ref != before.previous:
            raise RegistryError(
                f"version {ref.version} was changed since it was champion; promote another version instead."
            )
        return _point(models, ref, before, rolled_back=True)


def _point(
    models: Path,
    ref: VersionRef,
    before: ChampionPointer | None,
    *,
    forced: bool = False,
    rolled_back: bool = False,
) -> ChampionPointer:
    former = None if before is None else VersionRef(**before.model_dump(include=set(VersionRef.model_fields)))
    try:
        pointer = ChampionPointer(
            **ref.model_dump(),
            promoted_at=datetime.now(UTC),
            forced=forced,
            rolled_back=rolled_back,
            previous=former,
        )
    except ValidationError as error:
        raise RegistryError(f"VERSION: {ref.version!r} is not a version name") from error
    write_file(models / CHAMPION_NAME, to_json(pointer))
    return pointer


@contextmanager
def exclusive(models: Path) -> Iterator[None]:
    """Let one process at a time decide on the pointer and change it; not to be nested.

    Raises:
        RegistryError: there is no such directory.
    """
    if not models.is_dir():
        raise RegistryError(f"--models: {models} is not a directory. Train a version first with `tpv run FILE`.")
    with (models / _LOCK_NAME).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
