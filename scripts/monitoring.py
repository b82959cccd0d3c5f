"""Write what is derived from the monitoring sources: the Grafana dashboard and the rules wrapped for Kubernetes.

    python scripts/monitoring.py           write the files
    python scripts/monitoring.py --check   exit 1 and name the files that are out of date

The alert rules have one source, `monitoring/prometheus/rules/tpv.yml`. They are wrapped as text, so that their comments
and layout survive.
"""

import argparse
import itertools
import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "monitoring/prometheus/rules/tpv.yml"
DASHBOARD = ROOT / "monitoring/grafana/dashboards/tpv.json"
WRAPPED = {
    ROOT / "k8s/components/monitoring/prometheusrule.yaml": ("monitoring.coreos.com/v1", "PrometheusRule"),
    ROOT / "k8s/components/monitoring-gmp/rules.yaml": ("monitoring.googleapis.com/v1", "Rules"),
}
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
BUCKET_SHARE = (
    "sum by (bucket) (rate(tpv_predictions_total[1h])) / on () group_left () sum(rate(tpv_predictions_total[1h]))"
)

Query = tuple[str, str]


def panel(kind: str, title: str, unit: str, *queries: Query, **more: object) -> dict[str, object]:
    """Describe one panel; `queries` are (PromQL, legend) pairs."""
    return {
        "type": kind,
        "title": title,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": unit, **more}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if kind == "timeseries" else {},
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(queries)
        ],
    }


def quantile(q: float) -> str:
    """Give the PromQL of a quantile of the time that /predict takes."""
    buckets = 'rate(tpv_http_request_duration_seconds_bucket{route="/predict"}[$__rate_interval])'
    return f"histogram_quantile({q}, sum by (le) ({buckets}))"


ROWS: dict[str, tuple[dict[str, object], ...]] = {
    "Now": (
        panel("stat", "Ready instances", "none", ("sum(tpv_ready)", "ready")),
        panel("stat", "Errors (5 min)", "percentunit", ("tpv:errors:share5m or vector(0)", "5xx"), decimals=2),
        panel("stat", "p99 of /predict (5 min)", "s", ("tpv:latency:p99_5m", "p99")),
        panel("stat", "Age of the model", "s", ("time() - max(tpv_model_trained_timestamp_seconds)", "age")),
        panel(
            "stat",
            "Last training job",
            "s",
            ("time() - max by (task) (tpv_training_last_success_timestamp_seconds)", "{{task}}"),
        ),
    ),
    "Traffic and errors": (
        panel(
            "timeseries",
            "Requests by route",
            "reqps",
            ("sum by (route) (rate(tpv_http_requests_total[$__rate_interval]))", "{{route}}"),
        ),
        panel(
            "timeseries",
            "Rows by format and outcome",
            "rowsps",
            ("sum by (format, outcome) (rate(tpv_rows_total[$__rate_interval]))", "{{format}} {{outcome}}"),
        ),
        panel(
            "timeseries",
            "Answers that are not 2xx",
            "reqps",
            ('sum by (status) (rate(tpv_http_requests_total{status!~"2.."}[$__rate_interval]))', "{{status}}"),
        ),
        panel(
            "timeseries",
            "Turned away, by reason",
            "reqps",
            ("sum by (reason) (rate(tpv_requests_shed_total[$__rate_interval]))", "{{reason}}"),
        ),
    ),
    "Latency and saturation": (
        panel(
            "timeseries",
            "Latency of /predict",
            "s",
            (quantile(0.5), "p50"),
            (quantile(0.95), "p95"),
            (quantile(0.99), "p99"),
        ),
        panel("timeseries", "In flight", "none", ("sum by (instance) (tpv_requests_in_flight)", "{{instance}}")),
        panel(
            "timeseries",
            "Processor",
            "none",
            ('rate(process_cpu_seconds_total{job="tpv"}[$__rate_interval])', "{{instance}} cores"),
        ),
        panel("timeseries", "Memory", "bytes", ('process_resident_memory_bytes{job="tpv"}', "{{instance}}")),
    ),
    "Model": (
        panel(
            "state-timeline",
            "Version that serves",
            "none",
            ("max by (version, instance) (tpv_model_info) == 1", "{{instance}} {{version}}"),
        ),
        panel(
            "timeseries",
            "Models refused",
            "none",
            ("sum by (reason) (increase(tpv_model_load_failures_total[$__rate_interval]))", "{{reason}}"),
        ),
        panel("timeseries", "Gate passed (last job)", "none", ("max by (task) (tpv_training_gate_passed)", "{{task}}")),
        panel(
            "timeseries",
            "Time of the training stages",
            "s",
            ("max by (task, stage) (tpv_training_duration_seconds)", "{{task}} {{stage}}"),
        ),
    ),
    "Merchants against training": (
        panel(
            "timeseries",
            "Bucket mix: served (1 h) and in training",
            "percentunit",
            (BUCKET_SHARE, "{{bucket}} served"),
            ("max by (bucket) (tpv_model_bucket_share)", "{{bucket}} training"),
        ),
        panel(
            "timeseries",
            "Bucket mix: served over training",
            "none",
            (f"({BUCKET_SHARE}) / on (bucket) max by (bucket) (tpv_model_bucket_share)", "{{bucket}}"),
        ),
        panel(
            "timeseries",
            "Unknown categories: share of rows (1 h) and baseline",
            "percentunit",
            ("tpv:unknown:share1h", "{{field}}"),
            ("max by (field) (tpv_model_unknown_share_baseline)", "{{field}} baseline"),
        ),
        panel("timeseries", "Missing values: share of rows (1 h)", "percentunit", ("tpv:missing:share1h", "{{field}}")),
    ),
}


def dashboard() -> str:
    """Give the dashboard as JSON text."""
    panels: list[dict[str, object]] = []
    number = itertools.count(1)
    top = 0
    for title, members in ROWS.items():
        panels.append(
            {"type": "row", "id": next(number), "title": title, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        )
        width, height = 24 // len(members), 4 if members[0]["type"] == "stat" else 8
        panels.extend(
            {"id": next(number), **member, "gridPos": {"x": i * width, "y": top + 1, "w": width, "h": height}}
            for i, member in enumerate(members)
        )
        top += height + 1
    return (
        json.dumps(
            {
                "uid": "tpv",
                "title": "TPV",
                "description": "Traffic, errors, latency, saturation, model and merchants of the TPV service.",
                "tags": ["tpv"],
                "timezone": "browser",
                "schemaVersion": 39,
                "refresh": "30s",
                "time": {"from": "now-6h", "to": "now"},
                "templating": {"list": []},
                "annotations": {"list": []},
                "panels": panels,
            },
            indent=1,
        )
        + "\n"
    )


def wrapped(api_version: str, kind: str) -> str:
    """Give the alert rules as a Kubernetes object."""
    header = (
        f"# Written by scripts/monitoring.py from {RULES.relative_to(ROOT)}: change that file, then run it.\n"
        f"apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: tpv\nspec:\n"
    )
    return header + textwrap.indent(RULES.read_text(encoding="utf-8"), "  ")


def outputs() -> Iterable[tuple[Path, str]]:
    """Yield every derived file with what it should hold."""
    yield DASHBOARD, dashboard()
    for path, (api_version, kind) in WRAPPED.items():
        yield path, wrapped(api_version, kind)


def main() -> int:
    """Write or check the derived files; give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    check = parser.parse_args().check
    stale = [(path, text) for path, text in outputs() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is out of date: run python scripts/monitoring.py", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
