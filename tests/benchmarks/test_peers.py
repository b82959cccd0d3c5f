"""The comparison with other servers times only those that serve the same model, and names those it cannot time."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.peers.catalogue import PEERS, SERVICE_WIRE, Peer, Wire
from benchmarks.peers.comparison import compared
from benchmarks.peers.measure import Bench, Plan, WrongAnswerError
from benchmarks.peers.processes import StartError, serving
from benchmarks.peers.report import markdown
from benchmarks.serving.benchmark import FLOOR
from benchmarks.serving.servers import Running, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.trained import TrainedModels

HERE = Path(sys.prefix)
"""The ordinary FastAPI set-up needs nothing that this environment lacks."""


def peer(key: str) -> Peer:
    """One of the catalogue."""
    return next(peer for peer in PEERS if peer.key == key)


@pytest.fixture(scope="module")
def bench(trained: TrainedModels) -> Bench:
    """The small version, and one short turn of everything."""
    return Bench(trained.models, None, Plan(repeats=1, seconds=1.0, batches=3))


@pytest.fixture(scope="module")
def floor() -> Iterator[Running]:
    """The echo."""
    with running(FLOOR) as server:
        server.wait_ready(SERVICE_WIRE.live_path)
        yield server


def test_an_ordinary_set_up_serves_the_same_model_and_is_timed(bench: Bench, floor: Running) -> None:
    """Every figure is there and no request failed."""
    template = peer("fastapi")
    with serving(template, HERE, bench.artifact, bench.classifier) as server:
        outcome = bench.measure(server, template.wire, floor, SERVICE_WIRE)
    assert outcome.failed == 0
    assert outcome.share == pytest.approx(outcome.requests / outcome.echo)
    assert outcome.batch_share == pytest.approx(outcome.batch_rows / outcome.inplace_rows)
    assert 0 < outcome.live_p99 <= outcome.live_worst


def test_other_answers_than_the_models_are_not_timed(bench: Bench, floor: Running) -> None:
    """The order of the buckets is turned round."""
    template = peer("fastapi")
    wire = replace(template.wire, read_one=lambda answer: [answer["probabilities"][::-1]])
    with (
        serving(template, HERE, bench.artifact, bench.classifier) as server,
        pytest.raises(WrongAnswerError, match="one merchant: probabilities differ"),
    ):
        bench.measure(server, wire, floor, SERVICE_WIRE)


def test_what_cannot_be_installed_is_named_with_the_reason(
    bench: Bench, floor: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out of the table, and named below it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    entry = compared(bench, peer("kserve"), tmp_path / "environments", floor)
    assert entry.outcome is None
    assert "- KServe was not measured: InstallError: uv is not installed" in markdown([entry])


def stub(*command: str) -> Peer:
    """A peer that runs a command of this environment."""
    nothing = Wire("/", "/", "/", lambda *_: None, lambda *_: None, lambda _: [], lambda _: [])
    return Peer(name="Stub", packages=("stub==1",), takes="merchants", command=command, wire=nothing)


def test_a_server_that_ends_by_itself_is_told_with_its_last_words(bench: Bench) -> None:
    """The reason holds what it wrote."""
    program = stub("{bin}/python", "-c", "raise SystemExit('no such model')")

    def wait_for_its_end() -> None:
        with serving(program, HERE, bench.artifact, bench.classifier) as server:
            os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
            raise RuntimeError("it did not answer")

    with pytest.raises(StartError, match=r"ended by itself .*no such model"):
        wait_for_its_end()


def test_nothing_of_a_server_is_left_behind(bench: Bench, tmp_path: Path) -> None:
    """Not even a worker that outlives its parent."""
    told = tmp_path / "worker"
    text = (
        "import pathlib, subprocess, sys, time; worker = subprocess.Popen(['sleep', '600'], start_new_session=True); "
        f"pathlib.Path({str(told)!r}).write_text(str(worker.pid)); time.sleep(600)"
    )
    with serving(stub("{bin}/python", "-c", text), HERE, bench.artifact, bench.classifier):
        while not (told.is_file() and told.read_text()):
            time.sleep(0.01)
        worker = Path("/proc", told.read_text())
        assert worker.exists()
    # Whoever adopted it may not have asked for its status yet.
    assert not worker.exists() or "(sleep) Z" in (worker / "stat").read_text()


def test_tensors_carry_every_value_and_nan_as_null() -> None:
    """JSON has no NaN."""
    wire = peer("mlserver").wire
    sent = wire.many([], np.array([[1.5, np.nan], [3.0, 4.0]], dtype=np.float32))
    assert sent["inputs"][0]["shape"] == [2, 2]
    assert sent["inputs"][0]["data"] == [1.5, None, 3.0, 4.0]
    answer = {"outputs": [{"shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]}]}
    assert wire.read_many(answer) == [[0.25, 0.75], [0.5, 0.5]]
