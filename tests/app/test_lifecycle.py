"""The model of a live process: hot swap, refusal, rollback, drain, several workers."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.contract.artifact import read_champion
from app.contract.manifest import CHAMPION_NAME, MODEL_NAME
from app.model.store import LoadedModel, LoadFailure, ModelStore
from tests.support.artifacts import make_payload, promote, write_version
from tests.support.merchants import merchants
from tests.support.problems import assert_problem
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from app.contract.manifest import VersionRef

ROW = merchants(1, seed=7)[0]
ROWS = merchants(60, seed=7)


class Events:
    """Remembers what a store told."""

    def __init__(self) -> None:
        self.swaps: list[str] = []
        self.failures: list[str] = []

    def swapped(self, model: LoadedModel, former: LoadedModel | None) -> None:
        """Remember a swap."""
        assert former is not model
        self.swaps.append(model.ref.version)

    def failed(self, failure: LoadFailure) -> None:
        """Remember a refusal."""
        self.failures.append(failure.code)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, VersionRef, VersionRef]:
    """A models directory with two versions, the first promoted."""
    first = write_version(tmp_path, *make_payload(0))
    second = write_version(tmp_path, *make_payload(1), minute=1)
    promote(tmp_path, first)
    return tmp_path, first, second


def test_store_follows_the_pointer_and_keeps_the_previous(two: tuple[Path, VersionRef, VersionRef]) -> None:
    """A rollback takes the model that is still in memory: the very same object, even with its files gone."""
    models, first, second = two
    events = Events()
    store = ModelStore(models, events)
    assert store.refresh()
    assert not store.refresh()
    original = store.current
    promote(models, second, first)
    assert store.refresh()
    assert store.previous is original
    shutil.rmtree(models / first.version)
    promote(models, first)
    assert store.refresh()
    assert store.current is original
    assert events.swaps == [first.version, second.version, first.version]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("cut", "artifact_digest_mismatch"),
        ("gone", "artifact_missing"),
        ("pointer", "artifact_incompatible"),
    ],
)
def test_a_bad_artifact_leaves_the_old_one(two: tuple[Path, VersionRef, VersionRef], damage: str, code: str) -> None:
    """Whatever is wrong with the new version, the old one serves, and the failure is told once a try."""
    models, first, second = two
    events = Events()
    store = ModelStore(models, events)
    store.refresh()
    model = models / second.version / MODEL_NAME
    whole = model.read_bytes()
    promote(models, second, first)
    match damage:
        case "cut":
            model.write_bytes(whole[: len(whole) // 2])
        case "gone":
            model.unlink()
        case _:
            (models / CHAMPION_NAME).write_text("{")
    for _ in range(5):
        assert not store.refresh()
    assert events.failures == [code]
    assert store.require().ref == first
    assert store.failure is not None
    assert store.failure.code == code
    model.write_bytes(whole)
    promote(models, second, first)
    store._retry.not_before = 0.0
    assert store.refresh()
    assert store.failure is None


def test_hot_swaps_under_load_mix_no_versions(two: tuple[Path, VersionRef, VersionRef]) -> None:
    """While the champion changes again and again, every answer is a 200 and all of one version."""
    models, first, second = two
    refs = {first.version: first, second.version: second}
    with serve(models, poll_seconds="0.05") as server:
        pure: dict[str, Any] = {}
        for ref in (first, second):
            promote(models, ref)
            _wait_for_version(server, ref.version)
            pure[ref.version] = httpx.post(server.url + "/predict", json={"instances": ROWS}).json()
        stop = threading.Event()

        def load() -> list[str]:
            seen = []
            with server.client() as client:
                while not stop.is_set():
                    response = client.post("/predict", json={"instances": ROWS})
                    assert response.status_code == 200, response.text
                    version = response.headers["x-model-version"]
                    assert response.headers["x-model-sha256"] == refs[version].model_sha256
                    assert response.json() == pure[version]
                    seen.append(version)
            return seen

        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(load) for _ in range(4)]
            for turn in range(20):
                promote(models, (first, second)[turn % 2], (second, first)[turn % 2])
                time.sleep(0.1)
            stop.set()
            seen = [version for run in runs for version in run.result()]
        assert set(seen) == set(refs)


def test_a_refused_model_is_told_on_model_and_in_metrics(two: tuple[Path, VersionRef, VersionRef]) -> None:
    """The old model answers, /model says why the new one does not, and the counter moves."""
    models, first, second = two
    with serve(models, poll_seconds="0.05") as server:
        (models / second.version / MODEL_NAME).write_bytes(b"\x80\x05.")
        promote(models, second, first)
        deadline = time.monotonic() + 10
        while (card := httpx.get(server.url + "/model").json())["load_failure"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert card["serving"]["version"] == first.version
        assert card["load_failure"]["version"] == second.version
        assert card["load_failure"]["code"] == "artifact_digest_mismatch"
        assert httpx.post(server.url + "/predict", json=ROW).headers["x-model-version"] == first.version
        metrics = httpx.get(server.url + "/metrics").text
        assert 'tpv_model_load_failures_total{reason="artifact_digest_mismatch"} 1.0' in metrics
        assert httpx.get(server.url + "/readyz").status_code == 200


def test_drain_turns_readiness_off_first_and_finishes_work(models: Path) -> None:
    """After SIGTERM: /readyz is 503 while requests are still answered, then exit 0."""
    with serve(models, drain_delay_seconds="1.0") as server, server.client() as client:
        assert client.post("/predict", json=ROW).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/readyz", 1.0, status=503)
        assert_problem(client.get("/readyz"), 503, "draining")
        assert client.post("/predict", json=ROW).status_code == 200
        assert server.process.wait(10) == 0


def test_two_workers_share_port_and_metrics(models: Path) -> None:
    """Two processes answer, their metrics add up, a killed one is replaced, and SIGTERM stops all with exit 0."""
    with serve(models, workers="2") as server:
        total = 60
        for _ in range(total):
            assert httpx.post(server.url + "/predict", json=ROW).status_code == 200
        children = _children(server)
        assert len(children) == 2
        assert _counted(server) == total
        text = httpx.get(server.url + "/metrics").text
        version = read_champion(models)
        assert f'tpv_model_info{{sha256="{version.model_sha256}",version="{version.version}"}} 1.0' in text
        assert "\ntpv_ready 1.0" in text
        victim = children[0]

        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while len(alive := [pid for pid in _children(server) if pid != victim]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert victim not in alive
        server.wait_ready()
        assert _counted(server) == total
        assert server.stop() == 0


def _children(server: Server) -> list[int]:
    """Process ids of the workers."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _counted(server: Server) -> float:
    text = httpx.get(server.url + "/metrics").text
    (line,) = (x for x in text.splitlines() if x.startswith('tpv_http_requests_total{method="POST",route="/predict"'))
    return float(line.rpartition(" ")[2])


def _wait_for_version(server: Server, version: str) -> None:
    deadline = time.monotonic() + 10
    while httpx.get(server.url + "/model").json()["serving"]["version"] != version:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_loading_does_not_hang(models: Path, stop: signal.Signals) -> None:
    """Told to stop as soon as the port is open, the process ends cleanly."""
    with serve(models, wait=False) as server:
        assert server.stop(stop) == 0
