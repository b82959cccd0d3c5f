"""The scheduled jobs, run for real on synthetic merchants: once a period, gated, reported to a real Pushgateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.ship.monitoring.test_live import free_port
from tests.ship.support import ROOT, http, run, status, tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMOTED: Final = 0
INVALID: Final = 2
REFUSED: Final = 3


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Pushgateway."""
    port = free_port()
    with (tmp_path_factory.mktemp("gateway") / "log").open("wb") as log:
        process = subprocess.Popen(
            [tool("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: status(f"http://127.0.0.1:{port}/-/ready") == 200, seconds=20, what="the gateway is ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Jobs:
    """A models directory and a file of merchants that the jobs work on."""

    def __init__(self, directory: Path, gateway: str) -> None:
        self.models, self.data, self._gateway = directory / "models", directory / "merchants.csv", gateway
        self.models.mkdir()
        # Fewer folds and no amounts: how good the model is does not matter here.
        self._config = directory / "quick.toml"
        self._config.write_text('[fit]\nfolds = 2\n[value]\nenabled = "off"\n', encoding="utf-8")
        run(sys.executable, "-m", "training.cli", "sample", "--rows", "2500", "--out", self.data, cwd=ROOT)

    def __call__(self, task: str, period: str, *, data: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a job for a period."""
        environment = dict(os.environ)  # noqa: TID251 - the child's environment
        environment |= {
            "CONFIG_FILE": str(self._config),
            "DATA_FILE": str(data or self.data),
            "MODELS_DIR": str(self.models),
            "PUSHGATEWAY_URL": self._gateway,
            "PYTHONPATH": str(ROOT),
            # As in the image: a spinning thread would starve the rest of a busy machine.
            "OMP_WAIT_POLICY": "PASSIVE",
            "THREADS": "1",
            "TRIALS": "2",
            "TUNE_TIMEOUT_SECONDS": "10",
        }
        script = ROOT / "scripts/scheduled_training.py"
        return run(
            sys.executable, script, task, "--period", period, check=False, timeout=600, cwd=ROOT, env=environment
        )

    @property
    def champion(self) -> str | None:
        """Name of the champion."""
        pointer = self.models / "champion.json"
        name: str | None = json.loads(pointer.read_text(encoding="utf-8"))["version"] if pointer.exists() else None
        return name

    @property
    def versions(self) -> set[str]:
        """Names of the versions."""
        return {path.parent.name for path in self.models.glob("[0-9]*/manifest.json")}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, gateway: str) -> Jobs:
    """Jobs on a fresh models directory."""
    return Jobs(tmp_path_factory.mktemp("jobs"), gateway)


def pushed(gateway: str) -> dict[str, float]:
    """Give what the gateway holds of the jobs: value by series."""
    text = http(f"{gateway}/metrics")[1].decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("tpv_training_")]
    return {
        name.replace('instance="",', "").replace('job="tpv-training",', ""): float(value) for name, _, value in lines
    }


def test_bad_data_ends_with_a_status_of_its_own(jobs: Jobs, tmp_path: Path) -> None:
    """Rows that break a rule: status 2, nothing trained, nothing recorded."""
    bad = tmp_path / "bad.csv"
    lines = jobs.data.read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    row = lines[1].split(",")
    row[header.index("uf")] = "XX"
    bad.write_text("\n".join([lines[0], ",".join(row), *lines[2:300]]) + "\n", encoding="utf-8")
    done = jobs("train", "2026-W01", data=bad)
    assert done.returncode == INVALID, done.stderr
    assert "uf" in done.stderr
    assert jobs.versions == set()
    assert not list((jobs.models / "jobs").glob("train-*.json"))


def test_tuning_makes_a_champion_once(jobs: Jobs, gateway: str) -> None:
    """The first tuning is promoted; run again for the same month and data, it does nothing and says so."""
    first = jobs("tune", "2026-01")
    if first.returncode == REFUSED:
        pytest.fail(f"the gate refused the first model: {first.stderr}")
    assert first.returncode == PROMOTED, first.stderr
    champion, versions = jobs.champion, jobs.versions
    assert {champion} == versions
    assert (jobs.models / "jobs/params.json").is_file()
    series = pushed(gateway)
    assert series['tpv_training_gate_passed{task="tune"}'] == 1
    again = jobs("tune", "2026-01")
    assert (again.returncode, "nothing to do" in again.stdout) == (PROMOTED, True)
    assert (jobs.champion, jobs.versions) == (champion, versions)
    assert pushed(gateway) == series


def test_a_refused_model_leaves_the_champion(jobs: Jobs, gateway: str) -> None:
    """A model that is no better: status 3, a metric that says so, and the champion stays; again, the same."""
    champion = jobs.champion
    for _ in range(2):
        done = jobs("train", "2026-W02")
        assert done.returncode == REFUSED, done.stderr
    assert jobs.champion == champion
    assert len(jobs.versions) == 2
    series = pushed(gateway)
    assert series['tpv_training_gate_passed{task="train"}'] == 0
    assert series['tpv_training_last_success_timestamp_seconds{task="train"}'] > 0
    assert series['tpv_training_duration_seconds{stage="train",task="train"}'] > 0
    local = (jobs.models / "jobs/train.prom").read_text(encoding="utf-8")
    assert 'tpv_training_gate_passed{task="train"} 0' in local
    run(tool("promtool"), "check", "metrics", input=local)


def test_summary_tells_what_was_made(jobs: Jobs) -> None:
    """The job page: how it ended, every metric beside champion and baselines, and that the merchants are synthetic."""
    done = run(sys.executable, ROOT / "scripts/job_summary.py", jobs.models, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert "refused by the gate" in done.stdout
    assert "synthetic" in done.stdout
    assert f"champion {jobs.champion}" in done.stdout
    for name in ("log loss", "RPS", "ECE", "majority", "logistic", "xychart-beta"):
        assert name in done.stdout
