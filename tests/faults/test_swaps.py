"""Champions that change under load, from several sides, and hundreds of times."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx

from app.contract.artifact import read_champion
from tests.faults.support import Outcome, memory_mb, metric, pressure, serving_version, wait_until
from tests.support.artifacts import promote
from tests.support.merchants import merchants
from tests.support.server import ROOT, Server, serve

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.manifest import VersionRef

ROWS = merchants(40, seed=7)
SWAPS = 50
RELOADS = 200
WARM_UP = 20
GROWTH = 1.10


def follow(server: Server, models: Path, ref: VersionRef, previous: VersionRef | None = None) -> None:
    """Promote a version and wait until it serves."""
    promote(models, ref, previous)
    wait_until(lambda: serving_version(server) == ref.version, 10, f"{ref.version} serves")


def answers_of(server: Server, models: Path, refs: list[VersionRef]) -> dict[str, Any]:
    """Let each version serve once; give what it answers."""
    pure = {}
    for ref in refs:
        follow(server, models, ref)
        pure[ref.version] = httpx.post(server.url + "/predict", json={"instances": ROWS}).json()
    assert len({json.dumps(answer) for answer in pure.values()}) == len(refs)
    return pure


def assert_each_of_one_model(outcome: Outcome, pure: dict[str, Any], refs: list[VersionRef]) -> None:
    """Check that every answer is exactly that of the one version and digest that its headers name."""
    outcome.assert_all_served()
    assert outcome.models <= {(ref.version, ref.model_sha256) for ref in refs}
    for _, version, body in outcome.answers:
        assert json.loads(body) == pure[str(version)]


def test_fifty_hot_swaps_under_load(three: tuple[Path, list[VersionRef]]) -> None:
    """No request fails, and every answer is exactly that of the one version its headers name."""
    models, refs = three
    with serve(models, poll_seconds="0.02") as server:
        pure = answers_of(server, models, refs)
        with pressure(server, {"instances": ROWS}, keep=True) as outcome:
            for turn in range(SWAPS):
                # Three in turn: the one before the last is in memory no more, so each swap loads and verifies.
                follow(server, models, refs[turn % 3], refs[turn % 3 - 1])
        assert_each_of_one_model(outcome, pure, refs)
        assert {version for version, _ in outcome.models} == set(pure)


def test_concurrent_promotions_settle_on_the_last(three: tuple[Path, list[VersionRef]]) -> None:
    """Several processes promote at once: no request fails, no pointer is half written, and the last one serves."""
    models, refs = three
    code = (
        "import sys, pathlib, random\n"
        "from app.contract.manifest import VersionRef\n"
        "from tests.support.artifacts import promote\n"
        "refs = [VersionRef.model_validate_json(text) for text in sys.argv[3:]]\n"
        "choose = random.Random(int(sys.argv[2]))\n"
        "for _ in range(60): promote(pathlib.Path(sys.argv[1]), choose.choice(refs))\n"
    )
    with serve(models, poll_seconds="0.02") as server:
        pure = answers_of(server, models, refs)
        with pressure(server, {"instances": ROWS}, keep=True) as outcome:
            rivals = [
                subprocess.Popen(
                    [sys.executable, "-c", code, str(models), str(seed), *(ref.model_dump_json() for ref in refs)],
                    cwd=ROOT,
                )
                for seed in range(3)
            ]
            assert [rival.wait(60) for rival in rivals] == [0, 0, 0]
            champion = read_champion(models).version
            wait_until(lambda: serving_version(server) == champion, 10, "the last promotion serves")
            wait_until(lambda: len(outcome.answers) >= 10, 10, "load")
        assert_each_of_one_model(outcome, pure, refs)
        failures = [line for line in httpx.get(server.url + "/metrics").text.splitlines() if "load_failures" in line]
        assert all(line.startswith("#") for line in failures), failures


def test_rollback_is_instant_and_needs_no_files(three: tuple[Path, list[VersionRef]]) -> None:
    """The version before stays in memory: going back takes less than a second beyond the poll."""
    models, refs = three
    with serve(models, poll_seconds="0.1") as server:
        follow(server, models, refs[1], refs[0])
        for file in (models / refs[0].version).iterdir():
            file.unlink()
        told = time.monotonic()
        follow(server, models, refs[0])
        assert time.monotonic() - told < 0.1 + 1.0


def test_two_hundred_reloads_leak_nothing(three: tuple[Path, list[VersionRef]]) -> None:
    """After a warm-up, two hundred loads under traffic let memory grow by less than a tenth."""
    models, refs = three
    with serve(models, poll_seconds="0.01") as server:

        def reload(times: int) -> None:
            for turn in range(times):
                follow(server, models, refs[turn % 3])
                assert httpx.post(server.url + "/predict", json={"instances": ROWS}).status_code == 200

        reload(WARM_UP)
        before = memory_mb(server)
        reload(RELOADS)
        after = memory_mb(server)
        assert after < before * GROWTH, f"{before:.0f} MB before, {after:.0f} MB after {RELOADS} reloads"
        assert metric(server, "tpv_ready") == 1
