"""Write and read `models/<version>/`: digest first, then a restricted unpickler.

The payload is a dict of primitives and bytes, so it needs no class, function or global to come back, and the
reader permits none: a pickle that names one is refused before anything runs.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import joblib
import numpy as np
from pydantic import BaseModel, ValidationError
from typing_extensions import override

from app.contract.manifest import (
    CHAMPION_NAME,
    MANIFEST_NAME,
    MODEL_NAME,
    PROTOCOL,
    ChampionPointer,
    FileEntry,
    Manifest,
    VersionRef,
)
from app.errors import (
    ArtifactMissingError,
    DigestMismatchError,
    IncompatibleArtifactError,
    UnsafePayloadError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MAX_MODEL_BYTES: Final = 256 * 1024 * 1024
MAX_JSON_BYTES: Final = 4 * 1024 * 1024
_PICKLE_PROTOCOL: Final = 5

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact: its payload, its manifest and the digests that pin it."""

    payload: Payload
    manifest: Manifest
    ref: VersionRef


class _PlainDataUnpickler(pickle.Unpickler):
    """Unpickles primitives only."""

    @override
    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnsafePayloadError(
            f"the artifact asks for {module}.{name}; an artifact holds plain data only. Do not load it: train again."
        )

    @override
    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafePayloadError(
            f"the artifact refers to an outside object ({type(pid).__name__}). Do not load it: train again."
        )


def sha256_of(data: bytes) -> str:
    """Hexadecimal sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def pack_array(array: NDArray[Any]) -> dict[str, Any]:
    """Turn an array of plain numbers into primitives and bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "shape": list(array.shape), "data": little.tobytes()}


def unpack_array(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Undo `pack_array`; the array is read-only.

    Raises:
        IncompatibleArtifactError: the parts do not make an array of numbers.
    """
    try:
        dtype = np.dtype(packed["dtype"])
        if dtype.kind not in "biuf":
            raise TypeError(f"dtype {dtype} does not hold numbers")  # noqa: TRY301 - one table of ways to be malformed
        return np.frombuffer(packed["data"], dtype=dtype).reshape(packed["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleArtifactError(f"an array of the artifact is malformed: {error}") from error


def dump_payload(payload: Payload) -> bytes:
    """Serialise a payload; equal payloads built in the same order give equal bytes."""
    buffer = io.BytesIO()
    joblib.dump(payload, buffer, compress=0, protocol=_PICKLE_PROTOCOL)
    return buffer.getvalue()


def load_payload(data: bytes) -> Payload:
    """Unpickle plain data.

    Raises:
        UnsafePayloadError: the pickle names a global, or is damaged.
        IncompatibleArtifactError: it holds something else than a dict, or another protocol.
    """
    try:
        payload = _PlainDataUnpickler(io.BytesIO(data)).load()
    except UnsafePayloadError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UnsafePayloadError(f"the artifact is not a readable pickle ({type(error).__name__})") from error
    if not isinstance(payload, dict):
        raise IncompatibleArtifactError(f"the artifact holds a {type(payload).__name__}, not a dict")
    if payload.get("protocol") != PROTOCOL:
        raise IncompatibleArtifactError(
            f"the artifact speaks protocol {payload.get('protocol')!r}, this reader {PROTOCOL}. "
            "Train again with this version, or serve with the version that wrote it."
        )
    return payload


def write_file(path: Path, data: bytes) -> FileEntry:
    """Write bytes so that a reader sees all of them or none, and survive a crash of the machine."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return FileEntry(sha256=sha256_of(data), size=len(data))


def to_json(model: BaseModel) -> bytes:
    """Canonical JSON of a manifest or pointer."""
    return model.model_dump_json(indent=1).encode() + b"\n"


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a file that must not be larger than `limit` bytes.

    Raises:
        ArtifactMissingError: it is not there, or not readable.
        IncompatibleArtifactError: it is larger.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise ArtifactMissingError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > limit:
        raise IncompatibleArtifactError(f"{path} is larger than {limit} bytes")
    return data


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """Read a version's manifest; give it with the sha256 of its bytes.

    Raises:
        ArtifactMissingError: there is none.
        IncompatibleArtifactError: it is not a manifest of this protocol.
    """
    data = read_bounded(directory / MANIFEST_NAME, MAX_JSON_BYTES)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise IncompatibleArtifactError(
            f"{directory / MANIFEST_NAME} is not a manifest of protocol {PROTOCOL}: "
            + "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        ) from error
    if manifest.protocol != PROTOCOL or MODEL_NAME not in manifest.files:
        raise IncompatibleArtifactError(f"{directory / MANIFEST_NAME} is not a manifest of protocol {PROTOCOL}")
    return manifest, sha256_of(data)


def read_champion(models: Path) -> ChampionPointer:
    """Read the champion pointer of a models directory.

    Raises:
        ArtifactMissingError: nothing was promoted yet.
        IncompatibleArtifactError: the pointer is not one.
    """
    data = read_bounded(models / CHAMPION_NAME, MAX_JSON_BYTES)
    try:
        return ChampionPointer.model_validate_json(data)
    except ValidationError as error:
        raise IncompatibleArtifactError(f"{models / CHAMPION_NAME} is not a champion pointer") from error


def write_artifact(directory: Path, payload: Payload, manifest: Manifest, files: Mapping[str, bytes]) -> VersionRef:
    """Write an immutable version directory: model, other files, and the manifest last.

    Args:
        directory: must not exist yet; it appears whole or not at all.
        payload: primitives and bytes; see `dump_payload`.
        manifest: its `files` entry is filled in here.
        files: other files by name, such as the report.

    Raises:
        FileExistsError: the version is there already.
        UnsafePayloadError: the payload could not be read back by the restricted reader.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} exists; versions are immutable")
    model = dump_payload(payload)
    load_payload(model)
    contents = {MODEL_NAME: model, **files}
    staging = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    staging.mkdir(parents=True)
    entries = {name: write_file(staging / name, data) for name, data in contents.items()}
    complete = manifest.model_copy(update={"files": entries})
    manifest_bytes = to_json(complete)
    write_file(staging / MANIFEST_NAME, manifest_bytes)
    staging.rename(directory)
    return VersionRef(
        version=complete.version,
        model_sha256=complete.model_sha256,
        manifest_sha256=sha256_of(manifest_bytes),
    )


def read_artifact(directory: Path, expected: VersionRef | None = None) -> Artifact:
    """Verify and read a version directory.

    The model's bytes are read once; what is hashed is what is unpickled.

    Args:
        directory: `models/<version>`.
        expected: digests that the artifact must have, as the champion pointer gives them.

    Raises:
        ArtifactMissingError: a file is not there.
        DigestMismatchError: bytes differ from the manifest's or the pointer's digest.
        UnsafePayloadError: the pickle holds anything but plain data.
        IncompatibleArtifactError: another protocol or a malformed manifest.
    """
    manifest, manifest_sha256 = read_manifest(directory)
    if expected is not None and manifest_sha256 != expected.manifest_sha256:
        raise DigestMismatchError(
            f"{directory / MANIFEST_NAME} has sha256 {manifest_sha256[:12]}…, the champion pointer names "
            f"{expected.manifest_sha256[:12]}…. Promote a whole version again."
        )
    data = read_bounded(directory / MODEL_NAME, MAX_MODEL_BYTES)
    digest = sha256_of(data)
    for source, wanted in (
        ("the manifest", manifest.model_sha256),
        ("the champion pointer", expected.model_sha256 if expected else manifest.model_sha256),
    ):
        if digest != wanted:
            raise DigestMismatchError(
                f"{directory / MODEL_NAME} has sha256 {digest[:12]}…, {source} names {wanted[:12]}…. "
                "The file was changed or cut after it was written: restore it, or promote another version."
            )
    return Artifact(
        payload=load_payload(data),
        manifest=manifest,
        ref=VersionRef(version=manifest.version, model_sha256=digest, manifest_sha256=manifest_sha256),
    )
