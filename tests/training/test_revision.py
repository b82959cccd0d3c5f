"""A version names the commit of the code that trained it, in a checkout and in an image."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.server import ROOT
from training import revision
from training.revision import VARIABLE, code_revision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    code_revision.cache_clear()
    yield
    code_revision.cache_clear()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module outside any checkout, as in an image."""
    copy = tmp_path / "training" / "revision.py"
    copy.parent.mkdir()
    shutil.copy(revision.__file__, copy)
    monkeypatch.setattr(revision, "__file__", str(copy))
    monkeypatch.delenv(VARIABLE, raising=False)
    return copy


def _git(where: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout.strip()


def test_an_image_is_told(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a checkout the environment names the commit; with no git at all too."""
    assert module.exists()
    monkeypatch.setenv(VARIABLE, f"{COMMIT}\n")
    assert code_revision() == COMMIT
    code_revision.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert code_revision() == COMMIT


@pytest.mark.parametrize("told", [None, "", "unknown"])
def test_what_nobody_knows_is_not_made_up(module: Path, monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    """An image that was built without a revision says nothing."""
    assert module.exists()
    if told is not None:
        monkeypatch.setenv(VARIABLE, told)
    assert code_revision() is None


def test_a_checkout_knows_better(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout git is believed, and uncommitted changes show."""
    monkeypatch.setenv(VARIABLE, COMMIT)
    root = module.parent.parent
    _git(root, "init", "--quiet")
    assert code_revision() == COMMIT, "the checkout around it does not hold it"
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message", "first")
    code_revision.cache_clear()
    assert code_revision() == _git(root, "rev-parse", "HEAD")
    module.write_text("")
    code_revision.cache_clear()
    assert code_revision() == _git(root, "rev-parse", "HEAD") + "-dirty"


def test_the_training_image_passes_its_revision() -> None:
    """The build argument of the label is what the variable is set to."""
    stage = (ROOT / "Dockerfile").read_text().partition(" AS training\n")[2].partition("\nFROM ")[0]
    assert re.search(r"^ARG REVISION=unknown$", stage, re.MULTILINE)
    assert re.search(rf"^ENV (.* )?{VARIABLE}=\$\{{REVISION\}}$", stage, re.MULTILINE)
