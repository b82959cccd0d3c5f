"""The manifests' own pod, run by podman: user, limits, settings, mounts, probes and stopping are the cluster's.

What podman cannot do is changed in one place, `runnable`: the network is the host's, and probes, which podman would run
with a curl inside the container, are sent from here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.ship.images.conftest import free_port
from tests.ship.support import ROOT, http, load_all, missing, run, status, tool, wait_until
from tests.support.merchants import merchants

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINER: Final = "tpv-api-pod-0-api"


def podman(*command: str | Path, **more: Any) -> str:
    """Run a podman command; give its output."""
    return run(tool("podman"), *command, **more).stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def _podman_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fit podman to machines that grant few open files, and whose control groups are hybrid (crun refuses those)."""
    settings = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
    if Path("/sys/fs/cgroup/unified").exists():
        settings += '[engine]\nruntime = "runc"\n'
    path = tmp_path_factory.mktemp("podman") / "containers.conf"
    path.write_text(settings, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(path))
        yield


@pytest.fixture(scope="module")
def image() -> str:
    """The image that the engine built, handed to podman under the name of overlay local."""
    if run(tool("podman"), "info", check=False).returncode != 0:
        missing("a working podman", "run .ci/containers")
    name = "localhost/tpv:local"
    run(tool("docker"), "tag", "tpv:latest", name)
    saving = subprocess.Popen([tool("docker"), "save", name], stdout=subprocess.PIPE)
    assert saving.stdout is not None
    run(tool("podman"), "load", "--quiet", stdin=saving.stdout)
    saving.stdout.close()
    assert saving.wait() == 0
    return name


def runnable(models: Path, port: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give overlay local's Deployment with its ConfigMap for podman, and the container as the overlay has it."""
    objects = load_all(run(tool("kubectl"), "kustomize", ROOT / "k8s/overlays/local").stdout)
    (deployment,) = [item for item in objects if item["kind"] == "Deployment"]
    (config,) = [item for item in objects if item["kind"] == "ConfigMap" and "TPV_PORT" in item["data"]]
    for item in (deployment, config):
        item["metadata"].pop("namespace")
    config["data"]["TPV_PORT"] = str(port)
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    as_shipped = json.loads(json.dumps(container))
    spec["hostNetwork"] = True
    for name in ("ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
        container.pop(name)
    # fsGroup has no meaning for a host directory, and claims become one.
    for name in ("fsGroup", "fsGroupChangePolicy"):
        spec["securityContext"].pop(name)
    for volume in spec["volumes"]:
        if volume.pop("persistentVolumeClaim", None):
            volume["hostPath"] = {"path": str(models), "type": "Directory"}
    return [config, deployment], as_shipped


class Pod:
    """The running pod."""

    def __init__(self, port: int, container: dict[str, Any], manifest: Path) -> None:
        self.port, self.container, self.manifest = port, container, manifest

    def probe(self, name: str) -> int:
        """Send one of the manifest's probes; give the status."""
        return status(f"http://127.0.0.1:{self.port}{self.container[f'{name}Probe']['httpGet']['path']}")

    def inspect(self, template: str) -> str:
        """Look at the container with a Go template."""
        return podman("inspect", "--format", template, CONTAINER)


@pytest.fixture(scope="module")
def pod(image: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The pod of overlay local, started by podman."""
    port = free_port()
    objects, container = runnable(models, port)
    assert container["image"] == image
    manifest = tmp_path_factory.mktemp("pod") / "pod.yaml"
    manifest.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    running = Pod(port, container, manifest)
    try:
        podman("kube", "play", manifest)
        wait_until(lambda: running.probe("startup") == 200, seconds=60, what="the startup probe succeeds")
        wait_until(lambda: running.probe("readiness") == 200, seconds=60, what="the readiness probe succeeds")
        yield running
    finally:
        with contextlib.suppress(BaseException):
            podman("kube", "down", manifest)


@pytest.mark.usefixtures("pod")
def test_pod_runs_without_privileges() -> None:
    """Numeric user, no capability in any set, no new privilege, seccomp filter on: as the kernel sees it."""
    status_text = podman("exec", CONTAINER, "cat", "/proc/self/status")
    lines = dict(line.split(":\t", 1) for line in status_text.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["10001"] * 4
    assert {lines[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert lines["NoNewPrivs"] == "1"
    assert lines["Seccomp"] == "2"


@pytest.mark.usefixtures("pod")
def test_root_and_models_are_read_only() -> None:
    """Only /tmp can be written."""
    for path in ("/x", "/models/x", "/srv/tpv/x"):
        done = run(tool("podman"), "exec", CONTAINER, "touch", path, check=False)
        assert done.returncode != 0, path
    podman("exec", CONTAINER, "touch", "/tmp/x")  # noqa: S108 - inside the container


def test_limits_are_set(pod: Pod) -> None:
    """Memory and CPU limits reach the engine, and the threads follow the CPU limit."""
    limits = pod.container["resources"]["limits"]
    assert limits == {"cpu": "2", "memory": "768Mi", "ephemeral-storage": "256Mi"}
    assert pod.inspect("{{.HostConfig.Memory}}") == str(768 * 1024 * 1024)
    assert pod.inspect("{{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}}") == "200000 100000"
    assert "TPV_THREADS=2" in pod.inspect("{{json .Config.Env}}")


def test_pod_answers(pod: Pod) -> None:
    """Probes succeed, one merchant and many are predicted."""
    assert {name: pod.probe(name) for name in ("startup", "liveness", "readiness")} == dict.fromkeys(
        ("startup", "liveness", "readiness"), 200
    )
    url = f"http://127.0.0.1:{pod.port}/predict"
    code, body = http(url, merchants(1)[0])
    assert (code, "bucket" in json.loads(body)) == (200, True)
    code, body = http(url, {"instances": merchants(200)})
    assert (code, len(json.loads(body)["predictions"])) == (200, 200)


def test_pod_stops_by_itself_in_the_grace_period(pod: Pod) -> None:
    """SIGTERM: the service ends with 0 before anybody has to kill it. Runs last."""
    podman("stop", "--time=25", CONTAINER)
    assert pod.inspect("{{.State.ExitCode}}") == "0"
