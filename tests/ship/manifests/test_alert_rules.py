"""The monitoring configuration is valid, its rules are unit-tested, and what is derived from it is up to date."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from app.observability import Metrics
from tests.ship.support import ROOT, load, run, tool

MONITORING: Final = ROOT / "monitoring"
RULES: Final = MONITORING / "prometheus/rules/tpv.yml"
UNIT_TESTS: Final = sorted((MONITORING / "prometheus/tests").glob("*.yml"))
# Pushed by the training jobs, not by the service.
JOB_METRICS: Final = {
    "tpv_training_last_success_timestamp_seconds",
    "tpv_training_gate_passed",
    "tpv_training_duration_seconds",
}


def alerts() -> list[dict[str, Any]]:
    """Give every alert of the rules."""
    return [rule for group in load(RULES)["groups"] for rule in group["rules"] if "alert" in rule]


def expressions() -> list[str]:
    """Give every query of the rules and of the dashboard."""
    dashboard = json.loads((MONITORING / "grafana/dashboards/tpv.json").read_text(encoding="utf-8"))
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return targets + [rule["expr"] for group in load(RULES)["groups"] for rule in group["rules"]]


def test_configuration_is_valid() -> None:
    """Prometheus and Alertmanager accept their files."""
    run(tool("promtool"), "check", "config", "prometheus.yml", cwd=MONITORING / "prometheus")
    run(tool("amtool"), "check-config", MONITORING / "alertmanager/alertmanager.yml")


def test_rules_pass_their_unit_tests() -> None:
    """Each alert fires on the series it is for, with its words, and stays silent on those it is not for."""
    run(tool("promtool"), "test", "rules", *UNIT_TESTS)


def test_every_alert_has_a_unit_test_that_fires_it() -> None:
    """No alert is without a case that expects it to fire."""
    fired = {
        case["alertname"]
        for path in UNIT_TESTS
        for test in load(path)["tests"]
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in alerts()}


def test_every_alert_has_a_section_in_the_runbook() -> None:
    """The annotation of each alert points at a heading of its own, and no section is of an alert that is gone."""
    headings = re.findall(r"^## (Tpv\w+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_every_metric_exists() -> None:
    """Rules and dashboard name only metrics that the service exposes, the jobs push, or the rules record."""
    exposed = {
        sample
        for family in Metrics().registry.collect()
        for sample in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    named = {name for text in expressions() for name in re.findall(r"\btpv_[a-z0-9_]+", text)}
    assert named - exposed - JOB_METRICS == set()
    recorded = {rule["record"] for group in load(RULES)["groups"] for rule in group["rules"] if "record" in rule}
    assert {name for text in expressions() for name in re.findall(r"\btpv:[a-z0-9_:]+", text)} <= recorded


def test_derived_files_are_up_to_date() -> None:
    """The dashboard and the wrapped rules are what scripts/monitoring.py writes."""
    run(sys.executable, ROOT / "scripts/monitoring.py", "--check")


def test_dashboard_uses_the_provisioned_data_source() -> None:
    """Every panel's data source is the one that provisioning creates."""
    (source,) = load(MONITORING / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    dashboard = json.loads((MONITORING / "grafana/dashboards/tpv.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert panels
    assert all(panel["datasource"] == {"type": source["type"], "uid": source["uid"]} for panel in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
