"""Prometheus and Alertmanager watch a real service: queries give data, a killed service is told and taken back.

The shipped configuration is used with other addresses and shorter intervals; `for:` and thresholds stay as shipped.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from typing_extensions import override

from tests.ship.support import ROOT, load, status, tool, wait_until
from tests.ship.support import http as ask
from tests.support.artifacts import make_models
from tests.support.merchants import merchants

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING: Final = ROOT / "monitoring"
# Panels about things that have not happened here: refused models and jobs that have not run.
QUIET: Final = {
    "Models refused",
    "Last training job",
    "Gate passed (last job)",
    "Time of the training stages",
    "Turned away, by reason",
}


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Webhook:
    """Collects what Alertmanager posts."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.extend(json.loads(body)["alerts"])
                self.send_response(204)
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def alert(self, name: str, state: str) -> dict[str, Any] | None:
        """Give the first alert of a name that came in a state."""
        matching = (item for item in self.received if item["labels"]["alertname"] == name and item["status"] == state)
        return next(matching, None)


class Watched:
    """A service, with the Prometheus and the Alertmanager that watch it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.prometheus, self.alertmanager = free_port(), free_port(), free_port()
        self.webhook = Webhook()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all three and wait until they are ready."""
        directory = self.directory
        make_models(directory / "models")
        self.service = self.serve()
        self._configure()
        self._start(
            tool("prometheus-alertmanager"),
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}",
            "--cluster.listen-address=",
        )
        self._start(
            tool("prometheus"),
            f"--config.file={directory / 'prometheus/prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
        )
        ready = [f"http://127.0.0.1:{port}/-/ready" for port in (self.alertmanager, self.prometheus)]
        wait_until(lambda: {status(url) for url in ready} == {200}, seconds=30, what=f"{ready} are ready")

    def _configure(self) -> None:
        """Copy the shipped configuration with the addresses of this run and intervals of a second."""
        target = self.directory / "prometheus"
        shutil.copytree(MONITORING / "prometheus", target)
        rules = target / "rules/tpv.yml"
        rules.write_text(re.sub(r"interval: \d+s", "interval: 1s", rules.read_text(encoding="utf-8")), encoding="utf-8")
        config = load(target / "prometheus.yml")
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        (manager,) = config["alerting"]["alertmanagers"]
        manager["static_configs"][0]["targets"] = [f"127.0.0.1:{self.alertmanager}"]
        targets = {"tpv": self.port, "prometheus": self.prometheus}
        for job in config["scrape_configs"]:
            job["static_configs"][0]["targets"] = [f"127.0.0.1:{targets[job['job_name']]}"]
        (target / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        manager_config = load(MONITORING / "alertmanager/alertmanager.yml")
        manager_config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        (receiver,) = manager_config["receivers"]
        receiver["webhook_configs"] = [{"url": f"http://127.0.0.1:{self.webhook.port}/"}]
        (self.directory / "alertmanager.yml").write_text(yaml.safe_dump(manager_config), encoding="utf-8")

    def _start(self, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.directory / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=env)
        self._processes.append(process)
        return process

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the service and wait until it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TPV_")}  # noqa: TID251
        environment |= {"TPV_PORT": str(self.port), "TPV_MODELS_DIR": str(self.directory / "models")}
        process = self._start(sys.executable, "-m", "app", env=environment)
        wait_until(lambda: status(f"{self.url}/readyz") == 200, seconds=30, what="the service is ready")
        return process

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Run a query now; a query that Prometheus does not accept fails the test."""
        parameters = urllib.parse.urlencode({"query": expression})
        code, body = ask(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{parameters}")
        answer = json.loads(body)
        assert code == 200, answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def all_up(self) -> bool:
        """Say whether both targets answer scrapes."""
        return {item["metric"]["job"]: item["value"][1] for item in self.query("up")} == {"tpv": "1", "prometheus": "1"}

    def close(self) -> None:
        """Stop everything."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.webhook.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A watched service that has answered merchants, one of them with an unknown code and a null, and a bad request."""
    running = Watched(tmp_path_factory.mktemp("watched"))
    try:
        running.start()
        wait_until(running.all_up, seconds=30, what="both targets are scraped")
        rows = merchants(40)
        rows[0] |= {"mcc": "999999", "porte": None}
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            assert ask(f"{running.url}/predict", {"instances": rows})[0] == 200
            assert ask(f"{running.url}/predict", {"mcc": 1})[0] == 422
            time.sleep(0.2)
        yield running
    finally:
        running.close()


def test_every_target_is_scraped(watched: Watched) -> None:
    """Prometheus accepts what the service exposes."""
    assert watched.all_up()
    (series,) = watched.query('scrape_samples_scraped{job="tpv"}')
    assert float(series["value"][1]) > 50


def test_every_panel_shows_data(watched: Watched) -> None:
    """Each query of the dashboard runs, and gives data unless it is about something that has not happened."""
    dashboard = json.loads((MONITORING / "grafana/dashboards/tpv.json").read_text(encoding="utf-8"))
    empty = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            found = watched.query(target["expr"].replace("$__rate_interval", "1m"))
            if not found and panel["title"] not in QUIET:
                empty.append((panel["title"], target["expr"]))
    assert empty == []


def test_every_rule_runs(watched: Watched) -> None:
    """No rule fails in evaluation, and nothing fires on a healthy service."""
    _, body = ask(f"http://127.0.0.1:{watched.prometheus}/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    shipped = [rule for group in load(MONITORING / "prometheus/rules/tpv.yml")["groups"] for rule in group["rules"]]
    assert len(rules) == len(shipped)
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] in ([], ["TpvRetrainOverdue"])


def test_counts_are_those_of_the_requests(watched: Watched) -> None:
    """What the dashboard shows is what was sent: the unknown code and the null were seen, one row in forty."""
    (share,) = watched.query('tpv:unknown:share1h{field="mcc"}')
    assert float(share["value"][1]) == pytest.approx(1 / 40, rel=0.01)
    (share,) = watched.query('tpv:missing:share1h{field="porte"}')
    assert float(share["value"][1]) == pytest.approx(1 / 40, rel=0.01)
    statuses = {item["metric"]["status"] for item in watched.query('tpv_http_requests_total{route="/predict"}')}
    assert statuses == {"200", "422"}


def test_a_killed_service_is_told_and_taken_back(watched: Watched) -> None:
    """SIGKILL: the alert reaches the webhook after its 30 s; the service is back: the alert resolves there too."""
    watched.service.send_signal(signal.SIGKILL)
    watched.service.wait()
    killed = time.monotonic()
    alert = wait_until(lambda: watched.webhook.alert("TpvDown", "firing"), seconds=60, what="TpvDown fires")
    assert time.monotonic() - killed >= 28
    assert alert["labels"] == {
        "alertname": "TpvDown",
        "instance": f"127.0.0.1:{watched.port}",
        "job": "tpv",
        "severity": "critical",
    }
    assert alert["annotations"]["runbook"] == "docs/runbook.md#tpvdown"
    watched.service = watched.serve()
    wait_until(lambda: watched.webhook.alert("TpvDown", "resolved"), seconds=60, what="TpvDown resolves")
