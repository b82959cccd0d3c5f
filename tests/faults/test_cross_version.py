"""Artifacts between XGBoost versions: the golden rows are reproduced, or the artifact is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.artifact import read_champion
from app.errors import ArtifactError
from app.model.predictor import load_predictor
from tests.support.artifacts import make_models
from tests.support.server import ROOT, environment

if TYPE_CHECKING:
    from app.contract.manifest import ChampionPointer

REQUIREMENTS = Path(__file__).with_name("other-xgboost.txt")
_VERIFY = """
import sys, pathlib, xgboost
from app.contract.artifact import read_champion
from app.errors import GoldenRowsError, IncompatibleArtifactError
from app.model.predictor import load_predictor
models = pathlib.Path(sys.argv[1])
pointer = read_champion(models)
try:
    load_predictor(models / pointer.version, pointer)
    verdict = "reproduced"
except (GoldenRowsError, IncompatibleArtifactError) as error:
    verdict = error.code
print(xgboost.__version__, verdict)
"""


@pytest.fixture(scope="session")
def other(request: pytest.FixtureRequest) -> dict[str, str]:
    """An environment in which another supported XGBoost is imported, installed once beside pytest's cache."""
    assert request.config.cache is not None
    version = REQUIREMENTS.read_text().split("==")[1].split()[0]
    directory = request.config.cache.mkdir(f"xgboost-{version}")
    if not (directory / "xgboost").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", str(directory), "-r", str(REQUIREMENTS)], check=True, timeout=120)
    return environment({}) | {"PYTHONPATH": f"{directory}:{ROOT}"}


def run_other(other: dict[str, str], code: str, *arguments: str) -> str:
    """Run a script under the other XGBoost."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, env=other, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_written_elsewhere_and_read_here(other: dict[str, str], tmp_path: Path) -> None:
    """What another version wrote serves only if it reproduces its golden rows here."""
    code = (
        "import sys, pathlib, xgboost\n"
        "from tests.support.artifacts import make_models\n"
        "make_models(pathlib.Path(sys.argv[1]), 4)\n"
        "print(xgboost.__version__)\n"
    )
    theirs = run_other(other, code, str(tmp_path))
    import xgboost  # noqa: PLC0415

    assert theirs != xgboost.__version__
    pointer: ChampionPointer = read_champion(tmp_path)
    verdict: Any
    try:
        verdict = load_predictor(tmp_path / pointer.version, pointer).manifest.runtime.xgboost
    except ArtifactError as error:
        verdict = error.code
    assert verdict in {theirs, "artifact_golden_rows", "artifact_incompatible"}


def test_written_here_and_read_elsewhere(other: dict[str, str], tmp_path: Path) -> None:
    """The other way round, likewise."""
    make_models(tmp_path, 4)
    version, verdict = run_other(other, _VERIFY, str(tmp_path)).split()
    assert version in REQUIREMENTS.read_text()
    assert verdict in {"reproduced", "artifact_golden_rows", "artifact_incompatible"}
