"""The champion pointer moves in one step, to whole versions only, and can be moved back."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.contract.artifact import read_champion
from app.contract.manifest import CHAMPION_NAME, MANIFEST_NAME, MODEL_NAME
from app.errors import ArtifactError, ArtifactMissingError, DigestMismatchError, IncompatibleArtifactError
from tests.support.trained import nudged, write_relative
from training.answers import Answers
from training.promotion import GateRefusedError, judge, promote_if_better
from training.registry import RegistryError, champion, promote, rollback, verify_files, versions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trained import TrainedModels


@pytest.fixture
def three(trained: TrainedModels, tmp_path: Path) -> tuple[Path, list[str]]:
    """The same model as three versions: as it is, with better answers, with worse ones."""
    answers = Answers.read(trained.directory)
    chosen = (answers, nudged(answers, 0.05), nudged(answers, -0.3))
    refs = [
        write_relative(trained.directory, tmp_path, minutes=number, answers=one) for number, one in enumerate(chosen)
    ]
    return tmp_path, [ref.version for ref in refs]


def test_promote_and_roll_back(three: tuple[Path, list[str]]) -> None:
    """Promotion remembers what was before; rolling back twice ends where it began."""
    models, (first, second, _) = three
    assert champion(models) is None
    assert promote(models, first).previous is None
    pointer = promote(models, second)
    assert (pointer.version, pointer.previous and pointer.previous.version) == (second, first)
    assert read_champion(models) == pointer
    back = rollback(models)
    assert (back.version, back.previous and back.previous.version) == (first, second)
    assert rollback(models).version == second


def test_a_rollback_is_recorded_as_one(three: tuple[Path, list[str]]) -> None:
    """It is neither forced nor promoted; the next promotion is not a rollback any more, and old pointers are read."""
    models, (first, second, third) = three
    promote(models, first)
    promote(models, second, forced=True)
    assert (back := rollback(models)).rolled_back
    assert not back.forced
    assert read_champion(models) == back
    assert not promote(models, third).rolled_back
    stored = json.loads((models / CHAMPION_NAME).read_text())
    del stored["rolled_back"]
    (models / CHAMPION_NAME).write_text(json.dumps(stored))
    assert not read_champion(models).rolled_back


def test_promoting_the_champion_changes_nothing(three: tuple[Path, list[str]]) -> None:
    """Twice is once: the pointer file stays as it is."""
    models, (first, second, _) = three
    promote(models, first)
    promote(models, second)
    before = (models / CHAMPION_NAME).read_bytes()
    promote(models, second)
    assert (models / CHAMPION_NAME).read_bytes() == before


def test_versions_are_listed_with_their_roles_and_faults(three: tuple[Path, list[str]]) -> None:
    """Oldest first; a changed file is told, whichever it is."""
    models, names = three
    promote(models, names[0])
    promote(models, names[1])
    (models / names[2] / "report.html").write_text("other")
    listed = versions(models)
    assert [one.version for one in listed] == names
    assert [(one.champion, one.previous) for one in listed] == [(False, True), (True, False), (False, False)]
    assert [one.problem is None for one in listed] == [True, True, False]
    assert "report.html was changed" in str(listed[2].problem)


@pytest.mark.parametrize("name", ["no-such", "../x", ".", ""])
def test_an_unknown_version_is_named_with_the_known_ones(three: tuple[Path, list[str]], name: str) -> None:
    """The error lists what there is."""
    models, names = three
    with pytest.raises(RegistryError, match=names[0]):
        promote(models, name)
    assert champion(models) is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "manifest"])
def test_a_damaged_version_is_refused(three: tuple[Path, list[str]], damage: str) -> None:
    """The champion stays, forced or not."""
    models, (first, second, _) = three
    promote(models, first)
    model = models / second / MODEL_NAME
    data = bytearray(model.read_bytes())
    match damage:
        case "truncated":
            model.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[len(data) // 2] ^= 1
            model.write_bytes(data)
        case "missing":
            model.unlink()
        case _:
            (models / second / MANIFEST_NAME).write_text("{}")
    for forced in (False, True):
        with pytest.raises(ArtifactError):
            promote(models, second, forced=forced)
    assert read_champion(models).version == first


def test_rolling_back_needs_a_whole_previous(three: tuple[Path, list[str]]) -> None:
    """Nothing before, gone, or changed since: each is told, and the champion stays."""
    models, (first, second, _) = three
    with pytest.raises(RegistryError, match="names no previous champion"):
        rollback(models)
    promote(models, first)
    with pytest.raises(RegistryError, match="names no previous champion"):
        rollback(models)
    promote(models, second)
    manifest = models / first / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(RegistryError, match="was changed since it was champion"):
        rollback(models)
    shutil.rmtree(models / first)
    with pytest.raises(RegistryError, match="no version"):
        rollback(models)
    assert read_champion(models).version == second


def test_a_broken_pointer_is_an_error_and_not_a_fresh_start(three: tuple[Path, list[str]]) -> None:
    """Whoever wrote it, it is not overwritten in silence."""
    models, (first, *_) = three
    (models / CHAMPION_NAME).write_text("{")
    with pytest.raises(IncompatibleArtifactError, match="not a champion pointer"):
        promote(models, first)
    (models / CHAMPION_NAME).unlink()
    (models / CHAMPION_NAME).mkdir()
    with pytest.raises(ArtifactMissingError, match="Is a directory"):
        champion(models)


def test_no_directory_no_registry(tmp_path: Path) -> None:
    """The error says how to begin."""
    with pytest.raises(RegistryError, match=r"not a directory\. Train a version first"):
        promote(tmp_path / "none", "x")


def test_concurrent_promotions_take_turns(three: tuple[Path, list[str]]) -> None:
    """Every promotion records the one before it: the chain of pointers has no gaps."""
    models, names = three
    promote(models, names[1])
    promote(models, names[0])  # so that whichever thread comes first, there is a former champion
    with ThreadPoolExecutor(6) as pool:
        pointers = list(pool.map(lambda turn: promote(models, names[turn % 3]), range(18)))
    assert all(pointer.previous and pointer.previous.version != pointer.version for pointer in pointers)
    assert read_champion(models) in pointers


# The gate


def test_the_first_version_must_beat_the_shares(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """Without a champion, knowing nothing of the merchant is what there is to beat."""
    models, (first, *_) = three
    pointer, decision = promote_if_better(models, first, trained.config.gate.model_copy(update={"max_ece": 0.2}))
    assert decision is not None
    assert decision.passed
    assert decision.against == "majority baseline"
    assert (pointer.version, pointer.forced) == (first, False)


def test_the_gate_lets_the_better_pass_and_refuses_the_worse(
    three: tuple[Path, list[str]], trained: TrainedModels
) -> None:
    """Compared on the same merchants; the refusal gives figures and keeps the champion; the same is not better."""
    models, (first, better, worse) = three
    config = trained.config.gate.model_copy(update={"max_ece": 0.5})
    promote(models, first)
    assert judge(models, worse, config).difference.estimate > 0
    with pytest.raises(GateRefusedError, match=r"not better beyond doubt.*The champion stays; `--force`"):
        promote_if_better(models, worse, config)
    assert read_champion(models).version == first
    pointer, decision = promote_if_better(models, better, config)
    assert decision is not None
    assert decision.against == "champion"
    assert (pointer.version, pointer.forced) == (better, False)
    assert promote_if_better(models, better, config) == (pointer, None)


def test_the_gate_refuses_the_miscalibrated(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """Better in log loss is not enough when confidence is not what it says."""
    models, (_, _, worse) = three
    answers = Answers.read(trained.directory)
    index = np.arange(len(answers.labels))
    sharp = np.full_like(answers.probabilities, 0.11)
    sharp[index, answers.labels] = 0.56
    fourth = write_relative(trained.directory, models, minutes=9, answers=replace(answers, probabilities=sharp)).version
    promote(models, worse)
    with pytest.raises(GateRefusedError, match="Refused, miscalibrated") as refused:
        promote_if_better(models, fourth, trained.config.gate)
    assert refused.value.decision.difference.upper < 0


def test_force_is_recorded(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """The pointer tells that the gate was overridden, and only then."""
    models, (first, better, worse) = three
    config = trained.config.gate.model_copy(update={"max_ece": 0.5})
    promote(models, first)
    pointer, decision = promote_if_better(models, worse, config, force=True)
    assert pointer.forced
    assert decision is not None
    assert not decision.passed
    assert not promote_if_better(models, better, config, force=True)[0].forced


def test_too_few_common_merchants_cannot_be_judged(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """Another split has other test rows; force is the way on, and it is recorded."""
    models, (first, *_) = three
    answers = Answers.read(trained.directory)
    other = write_relative(
        trained.directory, models, minutes=9, answers=replace(answers, keys=answers.keys + 2)
    ).version
    promote(models, first)
    with pytest.raises(RegistryError, match=r"0 test rows in common.*same split\.seed, or use `--force`"):
        promote_if_better(models, other, trained.config.gate)
    pointer, decision = promote_if_better(models, other, trained.config.gate, force=True)
    assert pointer.forced
    assert decision is None


def test_a_lost_champion_can_be_replaced_by_force(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """A deleted champion cannot be compared with; without force that is an error, with it the way on."""
    models, (first, better, _) = three
    promote(models, first)
    shutil.rmtree(models / first)
    with pytest.raises(ArtifactError):
        promote_if_better(models, better, trained.config.gate)
    assert promote_if_better(models, better, trained.config.gate, force=True)[0].forced


def test_changed_answers_are_refused(three: tuple[Path, list[str]], trained: TrainedModels) -> None:
    """The gate judges only what the manifest vouches for, of both versions."""
    models, (first, better, _) = three
    promote(models, first)
    good = Answers.read(models / better)
    for name in (better, first):
        path = models / name / Answers.FILE_NAME
        before = path.read_bytes()
        path.write_bytes(nudged(good, 0.5).to_bytes())
        with pytest.raises(DigestMismatchError, match=rf"{Answers.FILE_NAME} was changed"):
            promote_if_better(models, better, trained.config.gate)
        path.write_bytes(before)


def test_verification_reads_every_file(three: tuple[Path, list[str]]) -> None:
    """Each file of a version is pinned."""
    models, (first, *_) = three
    for name in verify_files(models / first).files:
        path = models / first / name
        before = path.read_bytes()
        path.write_bytes(before + b"x")
        with pytest.raises(DigestMismatchError, match="was changed"):
            verify_files(models / first)
        path.write_bytes(before)


# Answers


def test_answers_round_trip_and_equal_bytes(trained: TrainedModels, tmp_path: Path) -> None:
    """What was kept comes back, and equal answers give equal bytes."""
    answers = Answers.read(trained.directory)
    (tmp_path / Answers.FILE_NAME).write_bytes(answers.to_bytes())
    again = Answers.read(tmp_path)
    assert answers.to_bytes() == again.to_bytes()
    np.testing.assert_array_equal(answers.labels, trained.prepared.labels[trained.prepared.split.test])


def test_common_rows_are_those_with_equal_keys() -> None:
    """By brute force, with keys that repeat."""
    rng = np.random.default_rng(0)

    def some(rows: int) -> Answers:
        return Answers(rng.integers(0, 40, rows) / 40, np.zeros(rows, np.int8), np.zeros((rows, 5)), np.zeros(5))

    one, other = some(30), some(50)
    mine, theirs = one.common_with(other)
    assert mine.tolist() == [row for row, key in enumerate(one.keys) if key in set(other.keys)]
    np.testing.assert_array_equal(one.keys[mine], other.keys[theirs])


@pytest.mark.parametrize("data", [b"", b"noise", b"PK\x03\x04"], ids=["empty", "noise", "half a zip"])
def test_malformed_answers_are_refused(tmp_path: Path, data: bytes) -> None:
    """Whatever is wrong, it is an artifact error; no pickle is read."""
    (tmp_path / Answers.FILE_NAME).write_bytes(data)
    with pytest.raises(IncompatibleArtifactError, match="malformed"):
        Answers.read(tmp_path)


def test_truncated_answers_are_refused(trained: TrainedModels, tmp_path: Path) -> None:
    """Cut anywhere."""
    whole = (trained.directory / Answers.FILE_NAME).read_bytes()
    for length in range(0, len(whole), len(whole) // 20):
        (tmp_path / Answers.FILE_NAME).write_bytes(whole[:length])
        with pytest.raises(IncompatibleArtifactError):
            Answers.read(tmp_path)
