"""Real images on a real engine; `.ci/containers` builds the first and starts the second."""

from __future__ import annotations

import contextlib
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.ship.support import missing, run, status, tool, wait_until
from tests.support.artifacts import make_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How the service is run everywhere but on a developer's machine: nothing writable, no capability, no new privilege.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp:size=64m,mode=1777")


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    """Both images are there."""
    docker = tool("docker")
    if run(docker, "info", check=False).returncode != 0:
        missing("a Docker engine", "run .ci/containers")
    for image in ("tpv:latest", "tpv-training:latest"):
        if run(docker, "image", "inspect", image, check=False).returncode != 0:
            missing(f"the image {image}", "run .ci/containers")


def docker(*command: str | Path, **more: Any) -> str:
    """Run a docker command; give its output."""
    return run(tool("docker"), *command, **more).stdout.strip()


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@dataclass
class Container:
    """A running service container on the host's network."""

    name: str
    port: int

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def state(self, template: str) -> str:
        """Look at the container with a Go template."""
        return docker("inspect", "--format", template, self.name)

    def logs(self) -> str:
        """What it wrote."""
        done = run(tool("docker"), "logs", self.name)
        return done.stdout + done.stderr

    def wait_ready(self) -> None:
        """Wait until it serves."""
        wait_until(lambda: status(f"{self.url}/readyz") == 200, seconds=60, what=f"{self.name} is ready: {self.logs()}")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory that the container's user may read."""
    directory = tmp_path_factory.mktemp("container") / "models"
    make_models(directory)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in list(directory.parents)[:3]:
        parent.chmod(0o755)
    return directory


@contextlib.contextmanager
def service(models: Path, *options: str) -> Iterator[Container]:
    """Run the service, hardened, until the block ends."""
    container = Container(f"tpv-test-{uuid.uuid4().hex[:8]}", free_port())
    docker(
        "run",
        "--detach",
        f"--name={container.name}",
        "--network=host",
        *HARDENED,
        f"--volume={models}:/models:ro",
        f"--env=TPV_PORT={container.port}",
        "--env=TPV_HOST=127.0.0.1",
        *options,
        "tpv:latest",
    )
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.name)
