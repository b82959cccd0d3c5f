"""A study is repeatable, resumable, shareable, and never sees a test row."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from tests.support.server import ROOT
from tests.support.trained import CONFIG, write_sample
from training.boosting import BoosterParams
from training.pipeline import tuning_data
from training.prepare import Prepared, prepare
from training.search_space import good_defaults, params_of, suggest
from training.tuning import Finished, StudyError, TuningData, best_params, best_value, open_study, tune

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.config import TuneConfig

ROWS = 600
POSTGRES = Path("/usr/lib/postgresql")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A few merchants, split."""
    return prepare(write_sample(tmp_path_factory.mktemp("tuning") / "merchants.csv", ROWS), CONFIG)


@pytest.fixture(scope="module")
def data(prepared: Prepared) -> TuningData:
    """What trials see of them."""
    return tuning_data(prepared)


def _config(directory: Path, **changes: Any) -> TuneConfig:
    values = {"storage": f"sqlite:///{directory / 'study.db'}", "trials": 5, "early_stopping_rounds": 2}
    return CONFIG.tune.model_copy(update=values | changes)


def _tried(study: optuna.Study) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in study.get_trials(deepcopy=False)]


def test_the_same_seed_tries_the_same(data: TuningData, tmp_path: Path) -> None:
    """Parameters and values of every trial, beyond the enqueued ones; another seed tries others."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    first = _tried(tune(data, _config(tmp_path / "a")))
    assert _tried(tune(data, _config(tmp_path / "b"))) == first
    other = _tried(tune(data, _config(tmp_path / "c", seed=1)))
    assert [params for params, _ in other[:3]] == [params for params, _ in first[:3]]
    assert all(one[0] != two[0] for one, two in zip(first[3:], other[3:], strict=True))


def test_a_resumed_study_goes_on_as_if_never_stopped(data: TuningData, tmp_path: Path) -> None:
    """Four trials and then three more are the seven of one run; no point is tried twice."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    tune(data, _config(tmp_path / "a", trials=4))
    resumed = _tried(tune(data, _config(tmp_path / "a", trials=3)))
    assert resumed == _tried(tune(data, _config(tmp_path / "b", trials=7)))
    assert len({str(params) for params, _ in resumed}) == 7


def test_a_study_of_other_data_is_refused(data: TuningData, tmp_path: Path) -> None:
    """Its values could not be compared; the study is left as it was."""
    study = tune(data, _config(tmp_path, trials=1))
    with pytest.raises(StudyError, match=r"tune\.study: .* made on other data or another split\. Name another study"):
        tune(replace(data, identity="other"), _config(tmp_path))
    assert len(study.get_trials()) == 1 + len(good_defaults()) - 1


@pytest.mark.parametrize(
    "storage",
    ["sqlite:////nowhere/at/all/study.db", "nosuch://host/name", "postgresql+psycopg://u:secret@127.0.0.1:1/x"],
)
def test_storage_that_cannot_be_reached_is_told(data: TuningData, tmp_path: Path, storage: str) -> None:
    """One error with a remedy, and no password in it."""
    with pytest.raises(StudyError, match=r"tune\.storage: cannot open the study.*Give a URL such as") as error:
        tune(data, _config(tmp_path, storage=storage))
    assert "secret" not in str(error.value)


def test_hopeless_trials_are_pruned(data: TuningData, tmp_path: Path) -> None:
    """After good trials, one that never learns is given up before its rounds are over."""
    config = _config(tmp_path, trials=6, early_stopping_rounds=100)
    study = open_study(config, data.identity)
    hopeless = next(iter(good_defaults())) | {
        "max_depth": 3,
        "gamma": 1.0,
        "min_child_weight": 20.0,
        "reg_lambda": 50.0,
    }
    noise = replace(data, train_labels=np.random.default_rng(0).permutation(data.train_labels))
    tune(data, config)
    study.enqueue_trial(hopeless)
    tune(noise, config.model_copy(update={"trials": 1}))
    last = study.get_trials()[-1]
    assert last.state is TrialState.PRUNED
    assert max(last.intermediate_values) < 120


def test_progress_is_told_after_each_trial(data: TuningData, tmp_path: Path) -> None:
    """Trials done, the best value so far, and the time left when there is a limit."""
    told: list[Finished] = []
    study = tune(data, _config(tmp_path, trials=3, timeout_seconds=500.0), tell=told.append)
    assert [one.trials for one in told] == [1, 2, 3]
    assert told[-1].best == best_value(study)
    assert all(one.seconds_left is not None and 0 < one.seconds_left < 500 for one in told)
    found = best_params(study)
    assert found is not None
    assert found[0] == params_of(study.best_params)
    assert 1 <= found[1] <= 120


def test_an_empty_study_has_no_best(data: TuningData, tmp_path: Path) -> None:
    """Nothing finished, nothing best."""
    study = open_study(_config(tmp_path), data.identity)
    assert best_value(study) is None
    assert best_params(study) is None


def test_defaults_are_tried_first(data: TuningData, tmp_path: Path) -> None:
    """The first trial is what measured best, and every default lies in the space."""
    study = tune(data, _config(tmp_path, trials=3))
    assert [params_of(trial.params) for trial in study.get_trials()] == [params_of(point) for point in good_defaults()]
    assert params_of(good_defaults()[0]) == BoosterParams()
    assert suggest(cast("optuna.Trial", optuna.trial.FixedTrial(good_defaults()[1]))) == params_of(good_defaults()[1])


def test_the_test_rows_do_not_matter(prepared: Prepared, tmp_path: Path) -> None:
    """With every test row's label and inputs changed, the study is the same to the last digit."""
    labels, columns = prepared.labels.copy(), {name: values.copy() for name, values in prepared.columns.items()}
    test = prepared.split.test
    labels[test] = (labels[test] + 2) % 5
    for name, values in columns.items():
        values[test] = values[prepared.split.train[0]] if name == "uf" else values[test][::-1]
    tried = []
    for number, one in enumerate((prepared, replace(prepared, labels=labels, columns=columns))):
        (tmp_path / str(number)).mkdir()
        tried.append(_tried(tune(tuning_data(one), _config(tmp_path / str(number), trials=4))))
    assert tried[0] == tried[1]


# Real processes


def _tune(file: Path, storage: str, trials: int, models: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training.cli", "tune", str(file), "--trials", str(trials), "--threads", "1"]
    return subprocess.Popen(
        [*command, "--study", storage, "--models", str(models)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finished(storage: str) -> list[optuna.trial.FrozenTrial]:
    trials: list[optuna.trial.FrozenTrial] = optuna.load_study(study_name="tpv", storage=storage).get_trials()
    return [trial for trial in trials if trial.state in {TrialState.COMPLETE, TrialState.PRUNED}]


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    """All trials of both are in it, and no point is tried by both."""
    file, storage = write_sample(tmp_path / "merchants.csv", ROWS), f"sqlite:///{tmp_path / 'study.db'}"
    both = [_tune(file, storage, 4, tmp_path) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    trials = _finished(storage)
    assert len(trials) == 8
    assert len({str(trial.params) for trial in trials}) == 8


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    """Ctrl-C ends the command with the best so far, and the study can be resumed."""
    file, storage = write_sample(tmp_path / "merchants.csv", ROWS), f"sqlite:///{tmp_path / 'study.db'}"
    process = _tune(file, storage, 5000, tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("tuning [3/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "finished trials are kept" in err
    assert "Traceback" not in err
    assert '"max_depth"' in out
    kept = len(_finished(storage))
    assert 3 <= kept < 5000
    again = _tune(file, storage, 1, tmp_path)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert len(_finished(storage)) == kept + 1


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A private PostgreSQL cluster on a free port; gives the URL of its database."""
    binaries = sorted(POSTGRES.glob("*/bin/initdb"))
    if not binaries:
        reason = "no PostgreSQL server; install Debian's postgresql"
        if os.environ.get("CI"):  # noqa: TID251 - a missing part fails in CI and is skipped elsewhere
            pytest.fail(reason)
        pytest.skip(reason)
    here = Path("/tmp") / f"tpv-pg-{os.getpid()}"  # noqa: S108 - the server's user must reach it
    here.mkdir(mode=0o755)
    user: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:
        shutil.chown(here, "postgres", "postgres")
        user |= {"user": "postgres", "group": "postgres"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    binary, cluster = binaries[-1].parent, here / "cluster"
    options = f"-p {port} -k {here} -c listen_addresses=127.0.0.1 -c fsync=off"
    initdb: list[str | Path] = [
        binary / "initdb",
        "-D",
        cluster,
        "-U",
        "tpv",
        "-A",
        "trust",
        "-N",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run(initdb, check=True, capture_output=True, **user)
    start: list[str | Path] = [binary / "pg_ctl", "-D", cluster, "-l", here / "log", "-w", "-o", options, "start"]
    try:
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
        yield f"postgresql+psycopg://tpv@127.0.0.1:{port}/postgres"
    finally:
        stop: list[str | Path] = [binary / "pg_ctl", "-D", cluster, "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, capture_output=True, **user)
        shutil.rmtree(here, ignore_errors=True)


def test_a_study_in_postgresql(postgres: str, data: TuningData, tmp_path: Path) -> None:
    """The same trials as in SQLite, resumed by another connection."""
    begun = time.monotonic()
    tune(data, _config(tmp_path, storage=postgres, trials=2))
    study = tune(data, _config(tmp_path, storage=postgres, trials=2))
    assert _tried(study) == _tried(tune(data, _config(tmp_path, trials=4)))
    assert time.monotonic() - begun < 60


_OPENS = """
import sys
from training.config import load_config
from training.tuning import open_study
print("ready", flush=True)
for line in sys.stdin:
    try:
        open_study(load_config(None, {"tune.storage": line.strip()}).tune, "identity")
        print("opened", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_create_a_study_at_once(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In an empty database both get the same study, with each first point in it once."""
    rounds = 4
    if kind == "sqlite":
        storages = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(rounds)]
    else:
        server = request.getfixturevalue("postgres")
        storages = [_database(server, f"round_{number}") for number in range(rounds)]
    command = [sys.executable, "-c", _OPENS]
    with ExitStack() as running:
        both = [
            running.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            )
            for _ in range(2)
        ]
        assert [_said(process) for process in both] == ["ready", "ready"]
        for storage in storages:
            for process in both:
                assert process.stdin is not None
                process.stdin.write(f"{storage}\n")
            assert [_said(process) for process in both] == ["opened", "opened"]
            study = open_study(_config(tmp_path, storage=storage), "identity")
            assert [trial.state for trial in study.get_trials()] == [TrialState.WAITING] * len(good_defaults())
        for process in both:
            assert process.stdin is not None
            process.stdin.close()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _database(server: str, name: str) -> str:
    """Make an empty database; gives its URL."""
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    return f"{server.rpartition('/')[0]}/{name}"
