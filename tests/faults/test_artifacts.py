"""Champions that must not serve: the one before goes on, without one failed request."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from typing_extensions import override

from app.contract.artifact import (
    dump_payload,
    pack_array,
    read_manifest,
    sha256_of,
    to_json,
    unpack_array,
    write_file,
)
from app.contract.manifest import MANIFEST_NAME, MODEL_NAME, FileEntry, VersionRef
from tests.faults.support import metric, pressure, serving_version, wait_until
from tests.support.artifacts import make_payload, promote, write_version
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = merchants(5, seed=7)


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (_touch, (str(self._path),))


def _touch(path: str) -> None:
    raise AssertionError(path)


def replace_model(models: Path, ref: VersionRef, model: bytes, *, sign: bool) -> VersionRef:
    """Overwrite the model of a version; signed, its manifest and the pointer made from the result agree with it."""
    write_file(models / ref.version / MODEL_NAME, model)
    if not sign:
        return ref
    manifest, _ = read_manifest(models / ref.version)
    entry = FileEntry(sha256=sha256_of(model), size=len(model))
    signed = to_json(manifest.model_copy(update={"files": {**manifest.files, MODEL_NAME: entry}}))
    write_file(models / ref.version / MANIFEST_NAME, signed)
    return VersionRef(version=ref.version, model_sha256=sha256_of(model), manifest_sha256=sha256_of(signed))


def malicious(kind: str, canary: Path) -> bytes:
    """Make a pickle that runs something when an ordinary reader loads it."""
    match kind:
        case "reduce":
            return b"cposix\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
        case "stack_global":
            command = f"touch {canary}".encode()
            return b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command + b"\x85R."
        case "inside":
            return pickle.dumps({"protocol": 1, "features": Canary(canary)})
        case _:
            return b"\x80\x04\x8c\x05joblib\x8c\x04load\x93\x8c\x01x\x85R."


def wrong(kind: str) -> tuple[dict[str, Any], str]:
    """Make a payload that is whole and must not serve."""
    payload, fingerprint = make_payload(3)
    golden = payload["golden"]
    match kind:
        case "protocol":
            payload["protocol"] = 999
        case "part":
            del payload["sets"]
        case "fingerprint":
            fingerprint = "0" * 64
        case "features":
            payload["features"]["tables"] = payload["features"]["tables"][:-1]
        case "booster":
            payload["classifier"] = payload["value"]["booster"][:200]
        case "scores":
            payload["decision"]["scores"] = pack_array(np.ones((3, 3)))
        case "golden":
            payload["golden"] = golden | {"probabilities": pack_array(unpack_array(golden["probabilities"])[:, ::-1])}
        case "golden_slightly":
            shifted = unpack_array(golden["probabilities"]).copy()
            shifted[0, :2] += (2e-6, -2e-6)
            payload["golden"] = golden | {"probabilities": pack_array(shifted)}
        case _:
            payload["golden"] = golden | {"columns": {name: [] for name in golden["columns"]}}
    return payload, fingerprint


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server, VersionRef]]:
    """A server whose champion is sound, in a directory of its own."""
    models = tmp_path_factory.mktemp("live")
    good = write_version(models, *make_payload(0))
    promote(models, good)
    with serve(models, poll_seconds="0.05") as server:
        yield models, server, good


def refused(live: tuple[Path, Server, VersionRef], bad: VersionRef, codes: set[str]) -> None:
    """Promote a version under load; check that it is refused, told and counted, and that nobody noticed."""
    models, server, good = live
    with pressure(server, {"instances": ROWS}, threads=2) as outcome:
        promote(models, bad, good)

        def told() -> bool:
            failure = httpx.get(server.url + "/model").json()["load_failure"]
            return failure is not None and failure["version"] == bad.version

        wait_until(told, 10, "the refusal is told on /model")
        card = httpx.get(server.url + "/model").json()
        assert card["load_failure"]["code"] in codes, card["load_failure"]
        assert card["load_failure"]["message"]
        assert serving_version(server) == good.version
        assert metric(server, f'tpv_model_load_failures_total{{reason="{card["load_failure"]["code"]}"}}') >= 1
        assert httpx.get(server.url + "/readyz").status_code == 200
        promote(models, good)
        wait_until(
            lambda: httpx.get(server.url + "/model").json()["load_failure"] is None, 10, "the pointer is sound again"
        )
        wait_until(lambda: len(outcome.answers) >= 10, 10, "load")
    outcome.assert_all_served()
    assert {version for _, version, _ in outcome.answers} == {good.version}


_minutes = iter(range(10, 1000))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("sign", [False, True], ids=["as it was", "with digests that fit"])
def test_truncated(live: tuple[Path, Server, VersionRef], share: float, *, sign: bool) -> None:
    """A cut model is refused by its digest before it is unpickled; with digests that fit, by the reader."""
    payload, fingerprint = make_payload(1)
    ref = write_version(live[0], payload, fingerprint, minute=next(_minutes))
    model = dump_payload(payload)
    cut = replace_model(live[0], ref, model[: int(len(model) * share)], sign=sign)
    refused(live, cut, {"artifact_unsafe"} if sign else {"artifact_digest_mismatch"})


def test_flipped_byte(live: tuple[Path, Server, VersionRef]) -> None:
    """One changed byte is another digest."""
    payload, fingerprint = make_payload(1)
    ref = write_version(live[0], payload, fingerprint, minute=next(_minutes))
    model = bytearray(dump_payload(payload))
    model[len(model) // 2] ^= 1
    refused(live, replace_model(live[0], ref, bytes(model), sign=False), {"artifact_digest_mismatch"})


@pytest.mark.parametrize("name", ["model_sha256", "manifest_sha256"])
def test_pointer_to_other_digests(live: tuple[Path, Server, VersionRef], name: str) -> None:
    """A pointer that names another digest than the files have is not followed."""
    ref = write_version(live[0], *make_payload(1), minute=next(_minutes))
    refused(live, ref.model_copy(update={name: "f" * 64}), {"artifact_digest_mismatch"})


@pytest.mark.parametrize("sign", [False, True], ids=["swapped in", "with digests that fit"])
@pytest.mark.parametrize("kind", ["reduce", "stack_global", "inside", "joblib"])
def test_malicious_pickle(live: tuple[Path, Server, VersionRef], tmp_path: Path, kind: str, *, sign: bool) -> None:
    """A payload that wants to run code is refused and leaves no trace, even if its digests fit."""
    canary = tmp_path / "trace"
    ref = write_version(live[0], *make_payload(1), minute=next(_minutes))
    bad = replace_model(live[0], ref, malicious(kind, canary), sign=sign)
    refused(live, bad, {"artifact_unsafe"} if sign else {"artifact_digest_mismatch"})
    assert not canary.exists()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("protocol", "artifact_incompatible"),
        ("part", "artifact_incompatible"),
        ("fingerprint", "artifact_incompatible"),
        ("features", "artifact_incompatible"),
        ("booster", "artifact_incompatible"),
        ("scores", "artifact_incompatible"),
        ("golden", "artifact_golden_rows"),
        ("golden_slightly", "artifact_golden_rows"),
        ("golden_empty", "artifact_incompatible"),
    ],
)
def test_whole_but_wrong(live: tuple[Path, Server, VersionRef], kind: str, code: str) -> None:
    """Digests that fit do not help a payload of another schema, or one that does not reproduce its golden rows."""
    payload, fingerprint = wrong(kind)
    good, _ = make_payload(3)
    ref = write_version(live[0], good, fingerprint, minute=next(_minutes))
    refused(live, replace_model(live[0], ref, dump_payload(payload), sign=True), {code})


@pytest.mark.parametrize("text", ["", "{", "null", '{"version": "../../etc"}', "\x00\xff" * 50])
def test_damaged_pointer(live: tuple[Path, Server, VersionRef], text: str) -> None:
    """A pointer that is none leaves everything as it is, until there is one again."""
    models, server, good = live
    with pressure(server, {"instances": ROWS}, threads=2) as outcome:
        write_file(models / "champion.json", text.encode("latin-1"))
        wait_until(
            lambda: httpx.get(server.url + "/model").json()["load_failure"] is not None, 10, "the refusal is told"
        )
        assert serving_version(server) == good.version
        promote(models, good)
        wait_until(lambda: httpx.get(server.url + "/model").json()["load_failure"] is None, 10, "sound again")
        wait_until(lambda: len(outcome.answers) >= 10, 10, "load")
    outcome.assert_all_served()
