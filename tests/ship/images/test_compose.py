"""`docker compose up` with nothing prepared: a model is made, the service answers, survives a crash, stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.ship.images.conftest import docker, free_port
from tests.ship.support import ROOT, http, run, status, tool, wait_until
from tests.support.merchants import merchants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT: Final = "tpv-compose-test"


class Compose:
    """The compose file, run as a project of its own on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._files = ["--file", str(ROOT / "docker-compose.yml")]
        if os.environ.get("DOCKER_NETWORK") == "host":  # noqa: TID251 - set by .ci/engine
            self._files += ["--file", str(self._on_host_network(directory))]

    def _on_host_network(self, directory: Path) -> Path:
        """Without a bridge network, have the service listen on the host's loopback instead of a published port."""
        override = directory / "host.yml"
        override.write_text(
            "services:\n  api:\n    network_mode: host\n    ports: !reset []\n"
            f"    environment: {{TPV_HOST: 127.0.0.1, TPV_PORT: '{self.port}'}}\n",
            encoding="utf-8",
        )
        return override

    def __call__(self, *command: str, **more: Any) -> str:
        """Run a compose command; give its output."""
        environment = dict(os.environ)  # noqa: TID251 - the child's environment
        environment |= {"API_PORT": str(self.port), "TRAIN_ROWS": "3000", "TRAIN_TRIALS": "2", "TRAIN_TIMEOUT": "20"}
        done = run(
            tool("docker-compose"),
            "--project-name",
            PROJECT,
            *self._files,
            *command,
            env=environment,
            timeout=600,
            **more,
        )
        return done.stdout + done.stderr

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def container(self, service: str) -> str:
        """Identity of a service's container, running or not."""
        return self("ps", "--all", "--quiet", service).strip()


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project after `up --wait`, with the time that it took to the first prediction."""
    project = Compose(tmp_path_factory.mktemp("compose"))
    project("down", "--volumes")
    try:
        started = time.monotonic()
        project("up", "--detach", "--wait", "--no-build")
        assert http(f"{project.url}/predict", merchants(1)[0])[0] == 200
        print(f"compose up to the first prediction: {time.monotonic() - started:.1f} s")  # noqa: T201
        yield project
    finally:
        print(project("logs", "--no-color"))  # noqa: T201
        project("down", "--volumes")


def test_service_is_healthy_and_answers(compose: Compose) -> None:
    """One merchant and a batch are predicted by the model that the first start made."""
    assert docker("inspect", "--format", "{{.State.Health.Status}}", compose.container("api")) == "healthy"
    code, body = http(f"{compose.url}/predict", {"instances": merchants(1000)}, timeout=30)
    assert (code, len(json.loads(body)["predictions"])) == (200, 1000)
    code, body = http(f"{compose.url}/model")
    assert code == 200
    assert "synthetic" in body.decode()


def test_limits_and_rights_are_real(compose: Compose) -> None:
    """The engine was told the limits of the file."""
    state = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", compose.container("api")))
    wanted = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["api"]
    assert state["Memory"] == int(wanted["mem_limit"].removesuffix("m")) * 1024 * 1024
    assert state["NanoCpus"] == int(wanted["cpus"] * 1e9)
    assert state["PidsLimit"] == wanted["pids_limit"]
    assert state["ReadonlyRootfs"] is True
    assert state["CapDrop"] == ["ALL"]


def test_a_second_up_trains_nothing(compose: Compose) -> None:
    """With a champion in the volume, the one-shot service leaves it alone."""
    before = http(f"{compose.url}/model")[1]
    compose("up", "--detach", "--wait", "--no-build", "--force-recreate")
    assert "a champion is there, nothing to train" in compose("logs", "--no-color", "train")
    assert json.loads(http(f"{compose.url}/model")[1])["serving"]["version"] == json.loads(before)["serving"]["version"]


def test_a_crash_is_restarted(compose: Compose) -> None:
    """SIGKILL from outside: the engine starts it again, and it is ready with the same model."""
    container = compose.container("api")
    os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)
    wait_until(
        lambda: docker("inspect", "--format", "{{.RestartCount}}", container) != "0",
        seconds=30,
        what="it was restarted",
    )
    wait_until(lambda: status(f"{compose.url}/readyz") == 200, seconds=30, what="it is ready again")


def test_stop_is_clean(compose: Compose) -> None:
    """SIGTERM: the service drains and exits with 0 well before it would be killed. Runs last."""
    container = compose.container("api")
    started = time.monotonic()
    compose("stop", "api")
    assert time.monotonic() - started < 24
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
