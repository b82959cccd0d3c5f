"""Workflows, Dockerfile and compose file satisfy their linters and the rules of this project."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.ship.support import ROOT, load, run, tool

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED: Final = re.compile(r"^\s*-?\s*uses: (?:[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\$/\S+)$")
# How `on:` is read: YAML 1.1 takes the word for a truth value.
ON: Final = True


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """Give the jobs of a workflow."""
    found: dict[str, dict[str, Any]] = load(path)["jobs"]
    return found


def test_linters_find_nothing() -> None:
    """Zizmor (pedantic) and actionlint accept every workflow, hadolint the Dockerfile."""
    run(tool("zizmor"), "--offline", "--pedantic", ROOT / ".github/workflows")
    run(tool("actionlint"), *WORKFLOWS)
    run(tool("hadolint"), ROOT / "Dockerfile")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_least_rights(path: Path) -> None:
    """Nothing is granted to a workflow, each job names what it needs and how long it may take."""
    assert load(path)["permissions"] == {}
    for name, job in jobs(path).items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job or "uses" in job, name
    writes = {
        (path.stem, name, scope)
        for name, job in jobs(path).items()
        for scope, level in job["permissions"].items()
        if level == "write"
    }
    assert writes <= {
        ("release", "images", "packages"),
        ("release", "images", "id-token"),
        ("release", "images", "attestations"),
        ("release", "publish", "contents"),
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path) -> None:
    """Every action is pinned to a commit, with the version it is of."""
    used = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\s*-?\s*uses:", line)]
    assert used
    assert [line for line in used if not PINNED.match(line)] == []


def test_called_workflows_leave_concurrency_to_their_callers() -> None:
    """Every workflow that is started by an event has a concurrency group."""
    for path in WORKFLOWS:
        started = set(yaml.safe_load(path.read_text(encoding="utf-8"))[ON])
        assert ("concurrency" in load(path)) == (started != {"workflow_call"})


def test_commands_exist() -> None:
    """The workflows call make targets and scripts that are there."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake (\w+)", text):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for script in re.findall(r"(?:scripts/\w+\.(?:py|sh))", text):
        assert (ROOT / script).is_file(), script
    (matrix,) = [
        job["strategy"]["matrix"]["check"]
        for job in jobs(ROOT / ".github/workflows/ci.yml").values()
        if "strategy" in job
    ]
    for check in matrix:
        assert (ROOT / ".ci" / check).is_file()


def test_schedules_are_those_of_the_cluster() -> None:
    """Train weekly and tune monthly: the workflows' UTC schedules are the CronJobs' in Sao Paulo, three hours later."""
    for task in ("train", "tune"):
        (entry,) = yaml.safe_load((ROOT / f".github/workflows/{task}.yml").read_text(encoding="utf-8"))[ON]["schedule"]
        minute, hour, *days = entry["cron"].split()
        local = load(ROOT / f"k8s/components/training/cronjob-{task}.yaml")["spec"]["schedule"].split()
        assert local == [minute, str(int(hour) - 3), *days]


@pytest.mark.parametrize("profile", [(), ("--profile", "monitoring")])
def test_compose_file_is_valid(profile: tuple[str, ...]) -> None:
    """Compose accepts the file with and without monitoring."""
    run(tool("docker-compose"), "--file", ROOT / "docker-compose.yml", *profile, "config", "--quiet")


def test_compose_services_are_hardened_and_local() -> None:
    """Every service: read-only, no capability, limits, ports on 127.0.0.1 only, and no password anywhere."""
    text = run(
        tool("docker-compose"), "--file", ROOT / "docker-compose.yml", "--profile", "monitoring", "config"
    ).stdout
    for name, service in yaml.safe_load(text)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["cpus"] > 0, name
        assert service["pids_limit"] > 0, name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name
        assert not [key for key in service.get("environment", ()) if re.search("PASSWORD|TOKEN|SECRET", key)], name
        if name != "train":
            assert service["restart"] == "unless-stopped", name
            assert "test" in service["healthcheck"], name
