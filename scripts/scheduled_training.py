"""The scheduled jobs: tune or train once for a period and a data set, however often they are started.

    python scripts/scheduled_training.py train     the week's model, with the parameters of the last tuning
    python scripts/scheduled_training.py tune      the month's tuning, then a model from it

Settings are environment variables: DATA_FILE and MODELS_DIR; TRIALS, TUNE_TIMEOUT_SECONDS and THREADS bound the work.
Optional: CONFIG_FILE, a run's TOML configuration; STUDY, an Optuna storage URL that survives the job; METRICS_FILE
(default `MODELS_DIR/jobs/TASK.prom`) and PUSHGATEWAY_URL, where the result is reported.

Exit status: 0 promoted, 3 finished but refused by the gate (the champion stays), 2 bad data or configuration, 1 any
other failure. A job that finished before for the same period and the same bytes of data does nothing again and exits as
it did then.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from app.errors import TPVError
from training.config import load_config
from training.promotion import GateRefusedError, promote_if_better

ZONE = ZoneInfo("America/Sao_Paulo")
PROMOTED, FAILED, INVALID, REFUSED = 0, 1, 2, 3


@dataclass(frozen=True)
class Job:
    """What identifies a job, and where it reads and writes.

    Attributes:
        task: `train` or `tune`.
        period: ISO week of a training, month of a tuning, in Sao Paulo.
        data: the file of merchants.
        digest: sha256 of its bytes.
        models: the models directory.
    """

    task: str
    period: str
    data: Path
    digest: str
    models: Path

    @property
    def record(self) -> Path:
        """Where a finished job says how it ended."""
        return self.models / "jobs" / f"{self.task}-{self.period}-{self.digest[:16]}.json"


@dataclass(frozen=True)
class Result:
    """How a job ended: its exit status, when (Unix time), and seconds of each stage."""

    status: int
    finished_at: float
    seconds: dict[str, float]


def digest_of(path: Path) -> str:
    """Give the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def period_of(task: str, now: datetime) -> str:
    """Name the period that a job belongs to: `2026-W47` for a training, `2026-11` for a tuning."""
    if task == "tune":
        return f"{now:%Y-%m}"
    year, week, _ = now.isocalendar()
    return f"{year}-W{week:02}"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader never sees part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)


def exposition(job: Job, result: Result) -> str:
    """Give the result in the Prometheus text format."""
    lines = [
        "# HELP tpv_training_last_success_timestamp_seconds When a job last finished, whatever the gate said.",
        "# TYPE tpv_training_last_success_timestamp_seconds gauge",
        f'tpv_training_last_success_timestamp_seconds{{task="{job.task}"}} {result.finished_at:.0f}',
        "# HELP tpv_training_gate_passed 1 when the last finished job promoted its model, 0 when the gate refused it.",
        "# TYPE tpv_training_gate_passed gauge",
        f'tpv_training_gate_passed{{task="{job.task}"}} {int(result.status == PROMOTED)}',
        "# HELP tpv_training_duration_seconds Time that a stage of the last finished job took.",
        "# TYPE tpv_training_duration_seconds gauge",
    ]
    lines += [
        f'tpv_training_duration_seconds{{task="{job.task}",stage="{stage}"}} {seconds:.3f}'
        for stage, seconds in result.seconds.items()
    ]
    return "\n".join(lines) + "\n"


def report(job: Job, result: Result, environment: Mapping[str, str]) -> None:
    """Write the metrics file, and push to the gateway if there is one; a gateway that is away fails no job."""
    text = exposition(job, result)
    write_whole(Path(environment.get("METRICS_FILE") or job.models / "jobs" / f"{job.task}.prom"), text)
    gateway = environment.get("PUSHGATEWAY_URL")
    if not gateway:
        return
    url = f"{gateway.rstrip('/')}/metrics/job/tpv-training/task/{job.task}"
    request = urllib.request.Request(url, data=text.encode(), method="PUT")  # noqa: S310 - the operator's own setting
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - same
            pass
    except OSError as error:
        print(f"the result was not pushed to {gateway}: {error}", file=sys.stderr)


def stages(job: Job, scratch: Path, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Give the stages of a job in order, by name: the arguments of `tpv`."""
    data, models = str(job.data), ["--models", str(job.models)]
    threads = ["--threads", environment["THREADS"]] if "THREADS" in environment else []
    config = ["--config", environment["CONFIG_FILE"]] if "CONFIG_FILE" in environment else []
    known, found = job.models / "jobs/params.json", scratch / "params.json"
    planned = {"validate": ["validate", data, "--report", str(scratch / "problems.csv")]}
    if job.task == "tune":
        # A study file needs locks that a bucket does not have, so that it lives in the scratch directory.
        study = environment.get("STUDY") or f"sqlite:///{scratch / 'study.db'}"
        planned["tune"] = ["tune", data, *models, *config, *threads, "--study", study, "--out", str(found)]
        if "TRIALS" in environment:
            planned["tune"] += ["--trials", environment["TRIALS"]]
        if "TUNE_TIMEOUT_SECONDS" in environment:
            planned["tune"] += ["--timeout", environment["TUNE_TIMEOUT_SECONDS"]]
    params = found if job.task == "tune" else known
    planned["train"] = ["train", data, *models, *config, *threads]
    if job.task == "tune" or known.exists():
        planned["train"] += ["--params", str(params)]
    return planned


def versions(models: Path) -> set[str]:
    """Name the versions in the models directory."""
    return {path.parent.name for path in models.glob("[0-9]*/manifest.json")}


def promote(job: Job, version: str, config: Path | None) -> int:
    """Ask the gate; give the exit status."""
    try:
        promote_if_better(job.models, version, load_config(config, {}).gate)
    except GateRefusedError as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    except TPVError as error:
        print(f"{version} is not promoted: {error}", file=sys.stderr)
        return FAILED
    print(f"champion: {version}")
    return PROMOTED


def work(job: Job, environment: Mapping[str, str]) -> Result:
    """Run every stage of a job; one that fails ends it."""
    seconds = {}
    before = versions(job.models)
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        for name, arguments in stages(job, scratch, environment).items():
            started = time.monotonic()
            command = [sys.executable, "-m", "training.cli", *arguments]
            status = subprocess.run(command, check=False).returncode  # noqa: S603 - no shell, own arguments
            seconds[name] = time.monotonic() - started
            if status != 0:
                return Result(INVALID if name == "validate" or status == INVALID else FAILED, time.time(), seconds)
        if (scratch / "params.json").exists():
            write_whole(job.models / "jobs/params.json", (scratch / "params.json").read_text(encoding="utf-8"))
    (version,) = versions(job.models) - before
    started = time.monotonic()
    config = Path(environment["CONFIG_FILE"]) if "CONFIG_FILE" in environment else None
    status = promote(job, version, config)
    seconds["promote"] = time.monotonic() - started
    return Result(status, time.time(), seconds)


@contextlib.contextmanager
def alone(models: Path) -> Iterator[None]:
    """Hold the lock of the jobs, so that a second one waits and then finds the work done.

    A bucket mount has no locks; there the schedule forbids two jobs at once.
    """
    (models / "jobs").mkdir(parents=True, exist_ok=True)
    with (models / "jobs/.lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Do a job once; give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", choices=["train", "tune"])
    parser.add_argument("--period", help="instead of this week (2026-W47) or month (2026-11)")
    arguments = parser.parse_args()
    environment = os.environ  # noqa: TID251 - jobs are set by their environment
    for name in ("DATA_FILE", "MODELS_DIR"):
        if not environment.get(name):
            print(f"{name} is not set: name the file of merchants and the models directory", file=sys.stderr)
            return INVALID
    data, models = Path(environment["DATA_FILE"]), Path(environment["MODELS_DIR"]).absolute()
    if not data.is_file():
        print(f"DATA_FILE: there is no file {data}", file=sys.stderr)
        return INVALID
    period = arguments.period or period_of(arguments.task, datetime.now(ZONE))
    job = Job(arguments.task, period, data, digest_of(data), models)
    with alone(models):
        if job.record.exists():
            result = Result(**json.loads(job.record.read_text(encoding="utf-8")))
            print(f"{job.record.stem} was done before and exited {result.status}: nothing to do")
        else:
            result = work(job, environment)
            if result.status not in {PROMOTED, REFUSED}:
                return result.status
            write_whole(job.record, json.dumps(asdict(result), indent=1) + "\n")
    report(job, result, environment)
    return result.status


if __name__ == "__main__":
    sys.exit(main())
