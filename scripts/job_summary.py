"""Summarise a models directory as Markdown with diagrams, for the page of a scheduled job.

    python scripts/job_summary.py MODELS >> "$GITHUB_STEP_SUMMARY"

Says what the newest version measures beside the champion and the baselines, and how the last job ended. The full
report, with every plot, is `report.html` in the version's directory.
"""

import json
import sys
from pathlib import Path
from typing import Any

from app.contract.buckets import LABELS

METRICS = {
    "log_loss": "log loss",
    "rps": "RPS",
    "auc_weighted": "ROC-AUC, weighted",
    "auc_macro": "ROC-AUC, macro",
    "f1_weighted": "F1, weighted",
    "f1_macro": "F1, macro",
    "accuracy": "accuracy",
    "quadratic_kappa": "quadratic kappa",
    "ece": "ECE",
}
ENDS = {0: "promoted", 3: "refused by the gate: the champion stays"}


def read(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file is an empty one."""
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(columns: dict[str, dict[str, Any]]) -> list[str]:
    """Lay metrics out, a column for each model."""
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    for key, label in METRICS.items():
        values = (f"{metrics[key]:.4f}" if key in metrics else "–" for metrics in columns.values())
        lines.append(f"| {label} | {' | '.join(values)} |")
    return lines


def chart(title: str, axis: str, series: dict[str, list[float]]) -> list[str]:
    """Draw bars and lines by bucket: the first series as bars, others as lines."""
    lines = ["```mermaid", "xychart-beta", f'  title "{title}"']
    lines.append("  x-axis [" + ", ".join(f'"{label}"' for label in LABELS) + "]")
    lines.append(f'  y-axis "{axis}" 0 --> 1')
    for kind, (name, values) in zip(("bar", "line"), series.items(), strict=False):
        lines.append(f'  {kind} "{name}" [{", ".join(f"{value:.4f}" for value in values)}]')
    return [*lines, "```"]


def summary(models: Path) -> str:
    """Give the Markdown text."""
    lines = []
    records = sorted((models / "jobs").glob("*.json"), key=lambda path: read(path).get("finished_at", 0))
    if records and "status" in (last := read(records[-1])):
        took = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in last["seconds"].items())
        lines += [f"**{records[-1].stem}**: {ENDS.get(last['status'], 'failed')} ({took})", ""]
    versions = sorted(path.parent for path in models.glob("[0-9]*/manifest.json"))
    if not versions:
        return "\n".join([*lines, "No version was written.", ""])
    newest = read(versions[-1] / "manifest.json")
    champion = read(models / "champion.json").get("version")
    evaluation = read(versions[-1] / "evaluation.json")
    columns = {newest["version"]: newest["metrics"]}
    if champion and champion != newest["version"]:
        columns[f"champion {champion}"] = read(models / champion / "manifest.json").get("metrics", {})
    columns |= {name: evaluation[name] for name in ("majority", "logistic") if name in evaluation}
    data = newest["data"]
    rows = f"{data['rows']:,}" + (" **synthetic**" if data["synthetic"] else "")
    lines += [
        f"### {newest['version']}" + (" (champion)" if champion == newest["version"] else ""),
        "",
        f"{rows} merchants, data `{data['sha256'][:12]}`, model `{newest['files']['model.joblib']['sha256'][:12]}`",
        "",
        *table(columns),
        "",
        *chart("Recall by bucket", "share", {"recall": newest["metrics"]["recall"]}),
        "",
        *chart("Bucket shares in training", "share", {"share": newest["training_shares"]}),
        "",
        f"Every plot: `{newest['version']}/report.html` in the artifact `models`.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the summary; give the exit status."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: job_summary.py MODELS, the directory of versions", file=sys.stderr)
        return 2
    print(summary(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
