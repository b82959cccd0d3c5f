"""The images: what is in them, what is not, and how the service behaves in one."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.ship.images.conftest import HARDENED, docker, service
from tests.ship.support import ROOT, TOOLS, http, run, status, tool, wait_until
from tests.support.merchants import merchants

if TYPE_CHECKING:
    from pathlib import Path

TRAINING_ONLY: Final = ("training", "optuna", "pandas", "sklearn", "matplotlib", "pyarrow", "typer", "pip")
LARGEST: Final = 550_000_000


def in_image(image: str, *command: str) -> str:
    """Run a command in a hardened container of an image."""
    return docker("run", "--rm", "--network=none", *HARDENED, "--entrypoint", command[0], image, *command[1:])


def test_serving_image_holds_nothing_of_training() -> None:
    """Training and its packages cannot be imported in the serving image, and the service can."""
    for module in TRAINING_ONLY:
        done = run(
            tool("docker"),
            "run",
            "--rm",
            "--network=none",
            "tpv:latest",
            "python",
            "-c",
            f"import {module}",
            check=False,
        )
        assert f"No module named '{module}'" in done.stderr
    code = "import app.main, sys; print('pandas' in sys.modules, 'sklearn' in sys.modules)"
    assert in_image("tpv:latest", "python", "-c", code) == "False False"


def test_serving_image_is_small() -> None:
    """The serving image stays within its limit."""
    assert int(docker("image", "inspect", "--format", "{{.Size}}", "tpv:latest")) <= LARGEST


def test_images_run_as_a_number_that_is_not_root() -> None:
    """Kubernetes can check runAsNonRoot: the user is numeric; and it is the one that runs."""
    for image in ("tpv:latest", "tpv-training:latest"):
        assert docker("image", "inspect", "--format", "{{.Config.User}}", image) == "10001:10001"
        assert in_image(image, "id", "-u") == "10001"


def test_images_are_labelled() -> None:
    """The OCI labels say what the image is, of which version and revision."""
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("version = ")
    )
    for image in ("tpv", "tpv-training"):
        labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"{image}:latest"))
        assert labels["org.opencontainers.image.title"] == image
        assert labels["org.opencontainers.image.version"] == version
        assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert len(labels["org.opencontainers.image.revision"]) >= 7


def test_no_build_secret_stays_in_the_image() -> None:
    """The settings that pip was lent for the build are in no layer."""
    for image in ("tpv:latest", "tpv-training:latest"):
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        assert "index-url" not in history
        listing = in_image(image, "sh", "-c", "cat /etc/pip.conf /root/.config/pip/pip.conf 2>/dev/null; true")
        assert listing == ""


def test_bytecode_is_compiled() -> None:
    """Nothing is compiled at start: every module of the service and its packages has its bytecode."""
    code = (
        "import pathlib, importlib.util as u; "
        "print([str(p) for r in ('/srv/tpv', '/opt/tpv/lib') for p in pathlib.Path(r).rglob('*.py') "
        "if p.name != 'healthcheck.py' and not pathlib.Path(u.cache_from_source(str(p))).exists()][:5])"
    )
    assert in_image("tpv:latest", "python", "-c", code) == "[]"


def test_serves_with_nothing_writable_and_no_capability(models: Path) -> None:
    """Hardened, it becomes ready, answers, is healthy for the engine, and stops with exit 0 on SIGTERM."""
    started = time.monotonic()
    with service(models, "--health-interval=1s", "--health-start-period=1s") as container:
        container.wait_ready()
        assert time.monotonic() - started < 20
        code, body = http(f"{container.url}/predict", merchants(1)[0])
        assert code == 200
        assert 0 <= json.loads(body)["bucket"]["index"] <= 4
        assert http(f"{container.url}/predict", {"instances": merchants(500)})[0] == 200
        wait_until(lambda: container.state("{{.State.Health.Status}}") == "healthy", seconds=20, what="healthy")
        docker("stop", "--time=25", container.name)
        assert container.state("{{.State.ExitCode}}") == "0"
        assert container.state("{{.State.OOMKilled}}") == "false"


def test_without_a_model_it_lives_and_is_unhealthy(tmp_path: Path) -> None:
    """An empty volume: alive, not ready, 503 with a problem; the engine calls it unhealthy and does not kill it."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    with service(tmp_path, "--health-interval=1s", "--health-start-period=1s", "--health-retries=1") as container:
        wait_until(lambda: status(f"{container.url}/livez") == 200, seconds=30, what="alive")
        assert status(f"{container.url}/readyz") == 503
        code, body = http(f"{container.url}/predict", merchants(1)[0])
        assert (code, json.loads(body)["status"]) == (503, 503)
        wait_until(lambda: container.state("{{.State.Health.Status}}") == "unhealthy", seconds=20, what="unhealthy")
        assert container.state("{{.State.Running}}") == "true"


def test_a_wrong_setting_is_one_line(models: Path) -> None:
    """A misspelt variable ends the container with status 2 and one line that names it."""
    with service(models, "--env=TPV_MAX_ROW=5") as container:
        wait_until(lambda: container.state("{{.State.Running}}") == "false", seconds=30, what="ended")
        assert container.state("{{.State.ExitCode}}") == "2"
        assert container.logs().count("\n") == 1
        assert "TPV_MAX_ROW" in container.logs()


def test_out_of_memory_kills_only_that_container(models: Path) -> None:
    """A limit that is too small ends the container as OOMKilled or 137: the host is not touched."""
    with service(models, "--memory=40m", "--memory-swap=40m") as container:
        wait_until(lambda: container.state("{{.State.Running}}") == "false", seconds=60, what="ended")
        assert container.state("{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"


def test_memory_after_load_fits_its_limit(models: Path) -> None:
    """With 256 MB it serves batches: the limit of the manifests leaves room."""
    with service(models, "--memory=256m", "--memory-swap=256m") as container:
        container.wait_ready()
        for _ in range(3):
            assert http(f"{container.url}/predict", {"instances": merchants(2000)}, timeout=30)[0] == 200
        assert container.state("{{.State.OOMKilled}}") == "false"


@pytest.mark.parametrize("image", ["tpv", "tpv-training"])
def test_bill_of_materials_is_complete_and_valid(image: str, tmp_path: Path) -> None:
    """The CycloneDX document is strictly valid and names every locked package that is installed, with a licence."""
    out, licences = tmp_path / "bom.json", tmp_path / "licences.md"
    run(sys.executable, ROOT / "scripts/sbom.py", f"{image}:latest", "--out", out, "--licences", licences)
    validate = (
        "import sys; from cyclonedx.schema import SchemaVersion; "
        "from cyclonedx.validation.json import JsonStrictValidator; "
        "error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()); "
        "sys.exit(str(error) if error else 0)"
    )
    run(TOOLS / "python", "-c", validate, out)
    components = {item["name"].lower().replace("_", "-"): item for item in json.loads(out.read_text())["components"]}
    lock = ROOT / "requirements" / ("serving.txt" if image == "tpv" else "training.txt")
    everywhere = re.findall(r"^([a-z0-9.-]+)==\S+ \\$", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert everywhere
    assert set(everywhere) <= set(components)
    assert "not stated" not in licences.read_text(encoding="utf-8")
    if image == "tpv":
        assert "GPL" not in licences.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("--help",), ("versions", "--help")])
def test_training_image_is_the_command_line(command: tuple[str, ...]) -> None:
    """The training image's entry point is `tpv`."""
    assert "Usage" in docker("run", "--rm", "--network=none", *HARDENED, "tpv-training:latest", *command)


def test_training_image_holds_the_scheduled_jobs() -> None:
    """The command of the CronJobs is in the image; without its settings it ends with 2 and says which one it misses."""
    done = run(
        tool("docker"),
        *("run", "--rm", "--network=none", *HARDENED, "--entrypoint=python", "tpv-training:latest"),
        *("-m", "scheduled_training", "train"),
        check=False,
    )
    assert done.returncode == 2
    assert "DATA_FILE is not set" in done.stderr
