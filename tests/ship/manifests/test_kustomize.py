"""Every overlay, with every combination of components, builds and is valid Kubernetes."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from app.contract.inputs import RAW_INPUTS
from app.settings import Settings
from tests.ship.support import ROOT, load_all, run, tool

if TYPE_CHECKING:
    from pathlib import Path

Manifests = list[dict[str, Any]]

OPTIONAL: Final = ("api-keys", "ha", "monitoring", "monitoring-gmp", "pushgateway")
COMBINATIONS: Final = [
    combination for size in range(len(OPTIONAL) + 1) for combination in itertools.combinations(OPTIONAL, size)
]
# Kinds of other projects: kubernetes-validate has no schema for them, so that they are only built and looked at here.
CUSTOM: Final = {
    "Gateway",
    "GCPBackendPolicy",
    "HealthCheckPolicy",
    "HTTPRoute",
    "PodMonitor",
    "PodMonitoring",
    "PrometheusRule",
    "Rules",
}
VERSIONS: Final = ("1.33", "1.35")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of k8s/, so that combinations can be written beside the overlays."""
    target = tmp_path_factory.mktemp("kustomize") / "k8s"
    shutil.copytree(ROOT / "k8s", target)
    return target


def build(tree: Path, overlay: str, components: tuple[str, ...] = ()) -> str:
    """Build an overlay with components added to it."""
    directory = tree / "combinations" / "-".join((overlay, *components))
    directory.mkdir(parents=True, exist_ok=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "tpv",
        "resources": [f"../../overlays/{overlay}"],
        "components": [f"../../components/{name}" for name in components],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return run(tool("kubectl"), "kustomize", directory).stdout


@pytest.fixture(scope="module")
def built(tree: Path) -> dict[str, Manifests]:
    """Every combination: `local` with each set of optional components, and `gke` as it is."""
    texts = {"-".join(("local", *names)): build(tree, "local", names) for names in COMBINATIONS}
    texts["gke"] = run(tool("kubectl"), "kustomize", tree / "overlays/gke").stdout
    return {name: load_all(text) for name, text in texts.items()}


def of_kind(items: Manifests, *kinds: str) -> Manifests:
    """Pick the objects of some kinds."""
    return [item for item in items if item["kind"] in kinds]


def pods(items: Manifests) -> dict[str, dict[str, Any]]:
    """Give every pod template by the name of its owner."""
    found = {item["metadata"]["name"]: item["spec"]["template"] for item in of_kind(items, "Deployment")}
    for job in of_kind(items, "CronJob"):
        found[job["metadata"]["name"]] = job["spec"]["jobTemplate"]["spec"]["template"]
    return found


def test_every_combination_is_strictly_valid(built: dict[str, Manifests], tmp_path: Path) -> None:
    """kubernetes-validate accepts every object, without unknown fields, for the oldest and newest version we name."""
    unique: dict[str, dict[str, Any]] = {}
    for items in built.values():
        unique |= {json.dumps(item, sort_keys=True): item for item in items}
    every = tmp_path / "every.yaml"
    every.write_text(
        yaml.dump_all((item for item in unique.values() if item["kind"] not in CUSTOM), Dumper=yaml.CSafeDumper),
        encoding="utf-8",
    )
    for version in VERSIONS:
        done = run(tool("kubernetes-validate"), "--strict", "-k", version, every)
        output = done.stdout + done.stderr
        assert "Couldn't find schema" not in output
        assert output.count(" passed ") == sum(item["kind"] not in CUSTOM for item in unique.values())


def test_an_unknown_field_would_be_found(built: dict[str, Manifests], tmp_path: Path) -> None:
    """The validation is strict: a misspelt field fails."""
    (deployment,) = of_kind(built["local"], "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    path = tmp_path / "typo.yaml"
    path.write_text(yaml.safe_dump(deployment), encoding="utf-8")
    assert run(tool("kubernetes-validate"), "--strict", "-k", VERSIONS[-1], path, check=False).returncode != 0


def test_policies_hold(built: dict[str, Manifests], tmp_path: Path) -> None:
    """Checkov's Kubernetes policies hold for everything; each skip has its reason in k8s/checkov.yaml."""
    paths = []
    for name in ("gke", "-".join(("local", *OPTIONAL))):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.dump_all(built[name], Dumper=yaml.CSafeDumper), encoding="utf-8")
        paths += ["-f", str(path)]
    run(tool("checkov"), "--config-file", ROOT / "k8s/checkov.yaml", *paths, timeout=180)


def test_pods_run_without_privileges(built: dict[str, Manifests]) -> None:
    """Every container of every overlay: numeric user, read-only root, no capability, seccomp, limits, no token."""
    for items in built.values():
        for name, template in pods(items).items():
            spec = template["spec"]
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["enableServiceLinks"] is False, name
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["runAsUser"] > 0, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            for container in spec["containers"]:
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"] is True, name
                assert security["allowPrivilegeEscalation"] is False, name
                assert security["capabilities"] == {"drop": ["ALL"]}, name
                assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}, name


def test_service_has_time_to_drain(built: dict[str, Manifests]) -> None:
    """preStop, drain delay and drain together fit into the grace period, and a rollout never lowers capacity."""
    (settings,) = [item for item in of_kind(built["local"], "ConfigMap") if "TPV_PORT" in item["data"]]
    drain = float(settings["data"]["TPV_DRAIN_DELAY_SECONDS"]) + float(settings["data"]["TPV_DRAIN_SECONDS"])
    (deployment,) = [item for item in of_kind(built["local"], "Deployment") if item["metadata"]["name"] == "tpv-api"]
    spec = deployment["spec"]["template"]["spec"]
    stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= stop + drain + 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_probes_tell_life_from_readiness(built: dict[str, Manifests]) -> None:
    """Only readiness depends on a model: a pod without one is never restarted for it."""
    container = pods(built["local"])["tpv-api"]["spec"]["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_settings_are_settings_of_the_service(built: dict[str, Manifests]) -> None:
    """Every TPV_* name in a manifest or compose file is a setting; the service would refuse another one."""
    known = {f"TPV_{name}".upper() for name in Settings.model_fields}
    (config,) = [item for item in of_kind(built["local"], "ConfigMap") if "TPV_PORT" in item["data"]]
    named = set(config["data"])
    for items in built.values():
        container = pods(items)["tpv-api"]["spec"]["containers"][0]
        named |= {entry["name"] for entry in container["env"]}
    assert named <= known


def test_threads_follow_the_limits(built: dict[str, Manifests]) -> None:
    """The number of threads comes from the container's CPU limit, not from the node's processors."""
    for name, variable in (("tpv-api", "TPV_THREADS"), ("tpv-train", "THREADS"), ("tpv-tune", "THREADS")):
        (container,) = pods(built["local"])[name]["spec"]["containers"]
        (entry,) = [item for item in container["env"] if item["name"] == variable]
        reference = entry["valueFrom"]["resourceFieldRef"]
        assert reference == {"containerName": container["name"], "resource": "limits.cpu", "divisor": "1"}


def test_config_maps_are_named_by_content(built: dict[str, Manifests]) -> None:
    """A pod refers to its ConfigMap by a name with a hash, so that a changed setting replaces the pods."""
    for items in built.values():
        maps = {item["metadata"]["name"] for item in of_kind(items, "ConfigMap")}
        for template in pods(items).values():
            for container in template["spec"]["containers"]:
                for source in container.get("envFrom", ()):
                    name = source["configMapRef"]["name"]
                    assert name in maps
                    assert len(name.rpartition("-")[2]) == 10


def test_jobs_never_overlap_and_end(built: dict[str, Manifests]) -> None:
    """Both schedules: Sao Paulo time, off the full hour, no overlap, a deadline, and no retry of the gate's refusal."""
    jobs = {item["metadata"]["name"]: item["spec"] for item in of_kind(built["local"], "CronJob")}
    assert {name: spec["schedule"].split()[2:] for name, spec in jobs.items()} == {
        "tpv-train": ["*", "*", "0"],
        "tpv-tune": ["1", "*", "*"],
    }
    for spec in jobs.values():
        assert spec["timeZone"] == "America/Sao_Paulo"
        assert int(spec["schedule"].split()[0]) % 60 != 0
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
        rules = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        assert rules[0]["onExitCodes"]["values"] == [2, 3]


def test_network_is_closed_by_default(built: dict[str, Manifests]) -> None:
    """Every overlay denies all traffic and then opens named ports."""
    for items in built.values():
        policies = {item["metadata"]["name"]: item["spec"] for item in of_kind(items, "NetworkPolicy")}
        assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for name, spec in policies.items():
            for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
                assert rule["ports"], name
                assert rule.get("from") or rule.get("to"), name


def test_gke_serves_models_from_a_bucket_and_hides_probes(built: dict[str, Manifests]) -> None:
    """The service mounts the bucket read-only, the jobs may write, and only the API's routes leave the cluster."""
    templates = pods(built["gke"])
    volumes = {
        name: {volume["name"]: volume for volume in template["spec"]["volumes"]}
        for name, template in templates.items()
        if name != "tpv-pushgateway"
    }
    assert volumes["tpv-api"]["models"]["csi"]["readOnly"] is True
    assert "readOnly" not in volumes["tpv-train"]["models"]["csi"]
    assert not any("persistentVolumeClaim" in volume for owner in volumes.values() for volume in owner.values())
    (route,) = of_kind(built["gke"], "HTTPRoute")
    exposed = {match["path"]["value"] for rule in route["spec"]["rules"] for match in rule["matches"]}
    assert "/predict" in exposed
    assert exposed.isdisjoint({"/", "/metrics", "/livez", "/readyz"})


def test_replicas_belong_to_the_autoscaler(built: dict[str, Manifests]) -> None:
    """With the autoscaler, no manifest names a number of replicas that an apply would set back."""
    (deployment,) = [item for item in of_kind(built["gke"], "Deployment") if item["metadata"]["name"] == "tpv-api"]
    assert "replicas" not in deployment["spec"]
    (scaler,) = of_kind(built["gke"], "HorizontalPodAutoscaler")
    assert scaler["spec"]["minReplicas"] >= 2
    assert {metric["type"] for metric in scaler["spec"]["metrics"]} == {"Resource", "Pods"}


def test_documented_substitution_leaves_no_placeholder(tree: Path) -> None:
    """The command of docs/deploy-gke.md puts one's own names everywhere: no placeholder is left in what is applied."""
    names = {"PROJECT": "my-project", "tpv.example.com": "tpv.mine.test", "southamerica-east1": "europe-west1"}
    documentation = (ROOT / "docs/deploy-gke.md").read_text(encoding="utf-8")
    mine = shutil.copytree(tree / "overlays/gke", tree / "overlays/mine")
    for path in mine.iterdir():
        text = path.read_text(encoding="utf-8")
        for placeholder, name in names.items():
            assert placeholder in documentation
            text = text.replace(placeholder, name)
        path.write_text(text, encoding="utf-8")
    text = run(tool("kubectl"), "kustomize", mine).stdout
    assert not [placeholder for placeholder in names if placeholder in text]
    assert "europe-west1-docker.pkg.dev/my-project/tpv/tpv:" in text


def test_documented_request_has_every_input() -> None:
    """The merchant in docs/deploy-gke.md is one that the service accepts."""
    (body,) = re.findall(r"-d '(\{.*?\})'", (ROOT / "docs/deploy-gke.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(json.loads(body)) == {item.name for item in RAW_INPUTS}
