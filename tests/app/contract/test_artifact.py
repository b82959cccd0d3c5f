"""An artifact is read only as the bytes that were written, and nothing in it can run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typing_extensions import override

from app.contract import artifact as module
from app.contract.artifact import (
    MAX_JSON_BYTES,
    dump_payload,
    load_payload,
    pack_array,
    read_artifact,
    read_bounded,
    read_champion,
    read_manifest,
    sha256_of,
    to_json,
    unpack_array,
    write_artifact,
    write_file,
)
from app.contract.manifest import CHAMPION_NAME, MANIFEST_NAME, MODEL_NAME, PROTOCOL, VersionRef
from app.errors import (
    ArtifactMissingError,
    DigestMismatchError,
    IncompatibleArtifactError,
    UnsafePayloadError,
)
from tests.support.artifacts import promote, write_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAYLOAD: dict[str, Any] = {
    "protocol": PROTOCOL,
    "decision": {"rule": "argmax"},
    "nested": [1, 2.5, None, True, "text", b"bytes", (1, 2), {"a": [2**70]}, {3, 4}, frozenset({5})],
}
FINGERPRINT = "ab" * 32


@pytest.fixture
def version(tmp_path: Path) -> tuple[Path, VersionRef]:
    """A version directory and the digests that pin it."""
    ref = write_version(tmp_path, PAYLOAD, FINGERPRINT)
    return tmp_path / ref.version, ref


def _replace_model(directory: Path, data: bytes) -> VersionRef:
    """Put other bytes in place of the model and make the manifest vouch for them, as who owns the directory could."""
    manifest, _ = read_manifest(directory)
    entry = write_file(directory / MODEL_NAME, data)
    changed = manifest.model_copy(update={"files": {MODEL_NAME: entry}})
    write_file(directory / MANIFEST_NAME, to_json(changed))
    return VersionRef(version=manifest.version, model_sha256=entry.sha256, manifest_sha256=sha256_of(to_json(changed)))


# Write and read


def test_round_trip(version: tuple[Path, VersionRef]) -> None:
    """What was written comes back, with its manifest and its digests."""
    directory, ref = version
    read = read_artifact(directory, ref)
    assert read.payload == PAYLOAD
    assert read.ref == ref == read_artifact(directory).ref
    assert read.manifest.files[MODEL_NAME].size == (directory / MODEL_NAME).stat().st_size
    assert sha256_of((directory / MODEL_NAME).read_bytes()) == read.manifest.model_sha256


def test_equal_payloads_give_equal_bytes() -> None:
    """The digest of a model is that of its content."""
    assert dump_payload(dict(PAYLOAD)) == dump_payload({**PAYLOAD})
    assert dump_payload(PAYLOAD) != dump_payload(PAYLOAD | {"more": 1})


def test_the_model_is_what_joblib_reads(version: tuple[Path, VersionRef]) -> None:
    """The file is an ordinary joblib dump; other tools may look into it."""
    assert joblib.load(version[0] / MODEL_NAME) == PAYLOAD  # noqa: TID251 - the bytes were made by this test


def test_versions_are_immutable(version: tuple[Path, VersionRef]) -> None:
    """A directory that exists is never written to."""
    directory, _ = version
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    manifest, _ = read_manifest(directory)
    with pytest.raises(FileExistsError, match="versions are immutable"):
        write_artifact(directory, PAYLOAD | {"other": 1}, manifest, {})
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_other_files_travel_with_their_digests(version: tuple[Path, VersionRef], tmp_path: Path) -> None:
    """The report is in the manifest, and no staging directory is left."""
    manifest, _ = read_manifest(version[0])
    target = tmp_path / "other" / "20260104T030000Z-00000000"
    write_artifact(target, PAYLOAD, manifest, {"report.html": b"<html>"})
    written, _ = read_manifest(target)
    assert written.files["report.html"].sha256 == sha256_of(b"<html>")
    assert {path.name for path in target.iterdir()} == {MODEL_NAME, MANIFEST_NAME, "report.html"}
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    "bad", [np.zeros(3), np.float64(1.0), Path("x"), object], ids=["array", "scalar", "path", "class"]
)
def test_what_the_reader_would_refuse_is_not_written(
    version: tuple[Path, VersionRef], tmp_path: Path, bad: Any
) -> None:
    """An artifact that nobody could load never comes to be."""
    manifest, _ = read_manifest(version[0])
    with pytest.raises(UnsafePayloadError):
        write_artifact(tmp_path / "new", PAYLOAD | {"bad": bad}, manifest, {})
    assert not (tmp_path / "new").exists()


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(name) for name in ("f4", "f8", "i1", "i4", "i8", "?", ">f4")]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_arrays_travel_as_primitives(array: NDArray[Any]) -> None:
    """Type, shape and bits are kept; what comes back cannot be written to."""
    packed = pack_array(array)
    assert load_payload(dump_payload({"protocol": PROTOCOL, "a": packed}))["a"] == packed
    back = unpack_array(packed)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.shape == array.shape
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "packed",
    [
        {},
        {"dtype": "<f8", "shape": [2]},
        {"dtype": "<f8", "shape": [3], "data": b"\0" * 16},
        {"dtype": "<f8", "shape": [1], "data": b"\0" * 7},
        {"dtype": "|O", "shape": [1], "data": b"\0" * 8},
        {"dtype": "<U4", "shape": [1], "data": b"\0" * 16},
        {"dtype": "nonsense", "shape": [1], "data": b""},
        {"dtype": "<f8", "shape": ["x"], "data": b""},
        {"dtype": "<f8", "shape": [1], "data": "text"},
        [],
    ],
    ids=str,
)
def test_malformed_arrays_are_refused(packed: Any) -> None:
    """Whatever is wrong, the reader has one kind of error; an object array is never made of bytes."""
    with pytest.raises(IncompatibleArtifactError, match="array of the artifact is malformed"):
        unpack_array(packed)


# Changed bytes


def test_a_truncated_model_is_refused_at_every_length(version: tuple[Path, VersionRef]) -> None:
    """Cut anywhere, the digest differs and nothing is unpickled."""
    directory, ref = version
    whole = (directory / MODEL_NAME).read_bytes()
    for length in range(len(whole)):
        (directory / MODEL_NAME).write_bytes(whole[:length])
        for expected in (None, ref):
            with pytest.raises(DigestMismatchError, match="restore it, or promote another version"):
                read_artifact(directory, expected)


def test_truncated_pickles_are_refused_even_if_vouched_for(version: tuple[Path, VersionRef]) -> None:
    """Without the digest's help, a pickle cut anywhere is still an artifact error."""
    whole = (version[0] / MODEL_NAME).read_bytes()
    for length in range(len(whole)):
        with pytest.raises(UnsafePayloadError):
            load_payload(whole[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Noise is never a payload and never another kind of error."""
    with pytest.raises((UnsafePayloadError, IncompatibleArtifactError)):
        load_payload(data)


@given(st.data())
def test_a_changed_byte_is_an_artifact_error_or_plain_data(data: st.DataObject) -> None:
    """Whatever one byte becomes, the restricted reader fails cleanly or gives plain data."""
    whole = bytearray(dump_payload(PAYLOAD))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafePayloadError, IncompatibleArtifactError):
        assert isinstance(load_payload(bytes(whole)), dict)


def test_a_flipped_bit_is_refused(version: tuple[Path, VersionRef]) -> None:
    """In the middle of the model, and in the manifest when the pointer pins it."""
    directory, ref = version
    for name in (MODEL_NAME, MANIFEST_NAME):
        whole = (directory / name).read_bytes()
        flipped = bytearray(whole)
        # A digit of a version string in the manifest: still valid JSON and a valid manifest.
        at = whole.index(b'"python": "') + 11 if name == MANIFEST_NAME else len(whole) // 2
        flipped[at] ^= 1
        (directory / name).write_bytes(flipped)
        with pytest.raises(DigestMismatchError):
            read_artifact(directory, ref)
        (directory / name).write_bytes(whole)
    assert read_artifact(directory, ref).payload == PAYLOAD


def test_a_repickled_model_is_refused(version: tuple[Path, VersionRef]) -> None:
    """The same content written by another tool is another file."""
    directory, ref = version
    (directory / MODEL_NAME).write_bytes(pickle.dumps(PAYLOAD, protocol=2))
    with pytest.raises(DigestMismatchError, match="the manifest names"):
        read_artifact(directory, ref)


def test_the_pointer_pins_model_and_manifest(version: tuple[Path, VersionRef]) -> None:
    """A directory whose files agree with each other, but not with the pointer, is refused."""
    directory, ref = version
    _replace_model(directory, dump_payload(PAYLOAD | {"other": 1}))
    assert read_artifact(directory).payload["other"] == 1
    with pytest.raises(DigestMismatchError, match="the champion pointer names"):
        read_artifact(directory, ref)
    manifest_sha256 = read_artifact(directory).ref.manifest_sha256
    with pytest.raises(DigestMismatchError, match=r"model\.joblib has sha256 .* the champion pointer names"):
        read_artifact(directory, ref.model_copy(update={"manifest_sha256": manifest_sha256}))


# Malicious pickles


class _Canary:
    """Touches a file when an ordinary reader unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def _short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def _attacks(canary: Path) -> dict[str, bytes]:
    """Pickles that would make a directory, by the opcode they use; each is checked to be harmful."""
    path = str(canary)
    call = b"(S'" + path.encode() + b"'\n"
    return {
        "reduce by protocol 0": pickle.dumps(_Canary(canary), protocol=0),
        "reduce by protocol 2": pickle.dumps({"protocol": PROTOCOL, "x": _Canary(canary)}, protocol=2),
        "stack global": pickle.dumps({"protocol": PROTOCOL, "x": _Canary(canary)}, protocol=5),
        "global": b"cposix\nmkdir\n" + call + b"tR.",
        "inst": call + b"iposix\nmkdir\n.",
        "obj": b"(cposix\nmkdir\nS'" + path.encode() + b"'\no.",
        "hidden under a dict": b"}" + _short("a") + b"cposix\nmkdir\n" + call + b"tRs.",
        "frame": pickle.dumps([_Canary(canary)] * 3, protocol=4),
        "then plain data": b"cposix\nmkdir\n" + call + b"tR0" + pickle.dumps(PAYLOAD, protocol=5)[2:],
    }


@pytest.mark.parametrize("name", sorted(_attacks(Path("x"))))
def test_nothing_in_a_pickle_runs(name: str, version: tuple[Path, VersionRef], tmp_path: Path) -> None:
    """The canary is left alone even when manifest and pointer vouch for the bytes."""
    canary = tmp_path / "canary"
    data = _attacks(canary)[name]
    pickle.loads(data)  # noqa: S301, TID251 - the attack works on an ordinary reader, so the test can fail
    canary.rmdir()
    ref = _replace_model(version[0], data)
    with pytest.raises(UnsafePayloadError, match=r"asks for (posix|os)\.mkdir; .* Do not load it: train again"):
        read_artifact(version[0], ref)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"Pidentity\n.", "outside object"),
        (b"\x80\x05" + _short("identity") + b"Q.", "outside object"),
        (b"\x80\x02\x82\x01.", "not a readable pickle"),
        (b"\x80\x02\x83\x01\x00.", "not a readable pickle"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "not a readable pickle"),
        (b"\x80\x02}}b.", None),
        (b"\x80\x02]}" + _short("a") + b"K\x01sb.", "not a readable pickle"),
        (b"\x80\x04" + _short("builtins") + _short("eval") + b"\x93.", "builtins.eval"),
        (b"cbuiltins\nexec\n.", "builtins.exec"),
        (b"\x80\x04" + _short("a.b") + b"\x93.", "not a readable pickle"),
        (b"\x80\x05\x97.", "not a readable pickle"),
        (b"\x80\x05\x98.", "not a readable pickle"),
        (b"\x80\xff.", "not a readable pickle"),
        (b"h\x00.", "not a readable pickle"),
        (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "not a readable pickle"),
        (b"", "not a readable pickle"),
        (b".", "not a readable pickle"),
    ],
    ids=[
        "persistent id", "binary persistent id", "ext1", "ext2", "ext4", "build on a dict", "build on a list",
        "stack global", "global", "half a stack global", "out of band buffer", "read-only buffer", "protocol 255",
        "memo that is not there", "length beyond the file", "empty", "nothing but a stop",
    ],
)  # fmt: skip
def test_opcodes_that_reach_outside_are_refused(data: bytes, said: str | None) -> None:
    """Globals, persistent ids, extensions, state setting and buffers all end as artifact errors."""
    with pytest.raises((UnsafePayloadError, IncompatibleArtifactError), match=said):
        load_payload(data)


def test_a_registered_extension_is_refused() -> None:
    """Even an extension code that this process knows resolves through the refusal."""
    import copyreg  # noqa: PLC0415 - of this test alone

    copyreg.add_extension("posix", "mkdir", 240)
    try:
        with pytest.raises(UnsafePayloadError, match=r"posix\.mkdir"):
            load_payload(b"\x80\x02\x82\xf0.")
    finally:
        copyreg.remove_extension("posix", "mkdir", 240)


@pytest.mark.parametrize("compress", [1, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)], ids=str)
def test_compressed_dumps_are_refused(compress: Any) -> None:
    """Joblib would inflate them first; this reader does not look inside."""
    buffer = io.BytesIO()
    joblib.dump(PAYLOAD, buffer, compress=compress)
    with pytest.raises(UnsafePayloadError, match="not a readable pickle"):
        load_payload(buffer.getvalue())


def test_dumps_with_numpy_arrays_are_refused() -> None:
    """Joblib stores arrays beside the pickle, through a class and raw bytes; none of it is wanted."""
    buffer = io.BytesIO()
    joblib.dump(PAYLOAD | {"array": np.arange(3)}, buffer)
    with pytest.raises(UnsafePayloadError, match=r"joblib\.numpy_pickle\.NumpyArrayWrapper"):
        load_payload(buffer.getvalue())
    with pytest.raises(UnsafePayloadError, match="numpy"):
        load_payload(pickle.dumps(np.arange(3)))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ([1, 2], "holds a list, not a dict"),
        (None, "holds a NoneType"),
        ({}, "speaks protocol None"),
        ({"protocol": PROTOCOL + 1}, f"speaks protocol {PROTOCOL + 1}, this reader {PROTOCOL}. Train again"),
        ({"protocol": str(PROTOCOL)}, "speaks protocol '1'"),
    ],
)
def test_other_schemas_are_refused(payload: Any, said: str) -> None:
    """Valid plain data that is not this protocol's payload says what it is and what to do."""
    with pytest.raises(IncompatibleArtifactError, match=said):
        load_payload(pickle.dumps(payload, protocol=5))


# Files


def test_oversized_files_are_refused(
    version: tuple[Path, VersionRef], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No more than the limit is read of a model, a manifest or a pointer."""
    directory, ref = version
    monkeypatch.setattr(module, "MAX_MODEL_BYTES", (directory / MODEL_NAME).stat().st_size)
    assert read_artifact(directory, ref).payload == PAYLOAD
    monkeypatch.setattr(module, "MAX_MODEL_BYTES", (directory / MODEL_NAME).stat().st_size - 1)
    with pytest.raises(IncompatibleArtifactError, match="larger than"):
        read_artifact(directory, ref)
    (tmp_path / CHAMPION_NAME).write_bytes(b" " * (MAX_JSON_BYTES + 1))
    with pytest.raises(IncompatibleArtifactError, match="larger than"):
        read_champion(tmp_path)


@pytest.mark.parametrize("name", [MODEL_NAME, MANIFEST_NAME])
def test_absent_files_are_named(version: tuple[Path, VersionRef], name: str) -> None:
    """The error says which file and why."""
    (version[0] / name).unlink()
    with pytest.raises(ArtifactMissingError, match=rf"{name}: No such file"):
        read_artifact(version[0])


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    """What cannot be read is missing, with the reason."""
    with pytest.raises(ArtifactMissingError, match="Is a directory"):
        read_bounded(tmp_path, 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": PROTOCOL + 1}, "not a manifest of protocol"),
        ({"files": {}}, "not a manifest of protocol"),
        ({"version": "../../etc"}, "version: String should match"),
        ({"seed": "zero"}, "seed: "),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_malformed_manifests_are_refused(version: tuple[Path, VersionRef], change: dict[str, Any], said: str) -> None:
    """The error names the entry."""
    manifest, _ = read_manifest(version[0])
    (version[0] / MANIFEST_NAME).write_text(json.dumps(manifest.model_dump(mode="json") | change))
    with pytest.raises(IncompatibleArtifactError, match=said):
        read_artifact(version[0])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\xff"])
def test_malformed_pointers_are_refused(tmp_path: Path, text: str) -> None:
    """A pointer is whole or it is none."""
    (tmp_path / CHAMPION_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(IncompatibleArtifactError, match="is not a champion pointer"):
        read_champion(tmp_path)


def test_the_pointer_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A reader in a tight loop sees the old or the new pointer, never none or half of one."""
    refs = [write_version(tmp_path, PAYLOAD | {"n": n}, FINGERPRINT, minute=n) for n in range(2)]
    promote(tmp_path, refs[0])
    stop = threading.Event()
    seen: list[VersionRef | Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                pointer = read_champion(tmp_path)
                seen.append(VersionRef(**pointer.model_dump(include=set(VersionRef.model_fields))))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test reports it
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        promote(tmp_path, refs[turn % 2])
    stop.set()
    reader.join()
    assert len(seen) > 20
    assert all(one in refs for one in seen)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk gives up before the last byte, the reader still has the old one and no debris is left."""
    target = tmp_path / "file"
    write_file(target, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
