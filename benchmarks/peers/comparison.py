"""Serve the same model by the ordinary set-up of other servers, and by the project's own, and time all in one run.

Each server runs alone, beside the echo, which idles but for its turns. Shares are taken turn by turn and their median
counts. Answers are compared with the model's before anything is timed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shlex
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.errors import TPVError
from benchmarks.peers.catalogue import PEERS, SERVICE_WIRE
from benchmarks.peers.environments import InstallError, environment, versions
from benchmarks.peers.measure import Bench, Plan, WrongAnswerError
from benchmarks.peers.processes import StartError, serving
from benchmarks.peers.report import Entry, markdown
from benchmarks.serving.benchmark import FLOOR, SERVICE
from benchmarks.serving.load import ROOT, generator
from benchmarks.serving.servers import running, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.peers.catalogue import Peer
    from benchmarks.serving.servers import Running

QUICK: Final = Plan(repeats=3, seconds=1.0, batches=3)
FULL: Final = Plan(repeats=3, seconds=2.0, batches=6)
ENVIRONMENTS: Final = Path("~/.cache/tpv-peers")
OWN: Final = "TPV"
_PACKAGES: Final = ("xgboost-cpu", "numpy", "fastapi", "uvicorn")
_FAILURES: Final = (
    InstallError,
    StartError,
    WrongAnswerError,
    subprocess.SubprocessError,
    http.client.HTTPException,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Whatever is wrong with one peer is told by its name, and the others are measured all the same."""


def compare(bench: Bench, models: Path, peers: Sequence[Peer], environments: Path) -> Iterator[Entry]:
    """Measure the project's own service and the peers, one after the other."""
    with running(FLOOR) as floor:
        floor.wait_ready(SERVICE_WIRE.live_path)
        _say(OWN)
        with running(SERVICE, **service(models)) as own:
            outcome = bench.measure(own, SERVICE_WIRE, floor, SERVICE_WIRE)
        yield Entry(OWN, "merchants", _own_versions(), outcome)
        for peer in peers:
            _say(peer.name)
            yield compared(bench, peer, environments, floor)


def compared(bench: Bench, peer: Peer, environments: Path, floor: Running) -> Entry:
    """Install a peer where need be and measure it; give the reason where that is not possible."""
    found: dict[str, str] = {}
    try:
        place = environment(peer, environments)
        found = versions(peer, place)
        with serving(peer, place, bench.artifact, bench.classifier) as server:
            outcome = bench.measure(server, peer.wire, floor, SERVICE_WIRE)
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {error}"
        _say(f"{peer.name}: {reason}")
        return Entry(peer.name, peer.takes, found, reason=reason)
    return Entry(peer.name, peer.takes, found, outcome)


def _own_versions() -> dict[str, str]:
    # The checkout is what is measured, whether or not it is installed.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {project["name"]: project["version"]} | {name: version(name) for name in _PACKAGES}


def describe(bench: Bench, data: Path | None) -> dict[str, Any]:
    """Say what was measured on what."""
    manifest = bench.predictor.manifest
    return {
        "command": shlex.join(["python", "benchmarks/peers/run.py", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load": generator(),
        "load_average_at_start": os.getloadavg()[0],
        "model": manifest.version,
        "model_trained_on": "synthetic merchants" if manifest.data.synthetic else "real merchants",
        "merchants": "synthetic" if data is None else data.name,
    }


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run with the options of the command line; exit 1 when the project's own service failed a request."""
    keys = [peer.key for peer in PEERS]
    parser = argparse.ArgumentParser(prog="benchmarks/peers/run.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("models"), help="models directory with a champion")
    parser.add_argument("--data", type=Path, help="merchants to ask about (CSV or Parquet); synthetic ones if absent")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where peers are installed")
    parser.add_argument("--only", nargs="+", choices=keys, metavar="PEER", help=f"some of {', '.join(keys)}")
    parser.add_argument("--quick", action="store_true", help="half the time, with more noise")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    models = arguments.models.resolve()
    try:
        bench = Bench(models, arguments.data, QUICK if arguments.quick else FULL)
    except TPVError as error:
        raise SystemExit(f"{error}; train one with `tpv run FILE`, or name another directory with --models") from error
    peers = [peer for peer in PEERS if arguments.only is None or peer.key in arguments.only]
    about = describe(bench, arguments.data)
    started = time.monotonic()
    entries = list(compare(bench, models, peers, arguments.environments.expanduser().resolve()))
    about["seconds"] = round(time.monotonic() - started)
    print(markdown(entries))
    result = json.dumps({"about": about, "servers": [entry.record() for entry in entries]}, indent=1)
    print(f"\n```json\n{result}\n```")
    if arguments.json:
        arguments.json.write_text(result + "\n")
    if entries[0].outcome is None or entries[0].outcome.failed:
        raise SystemExit("requests to the project's own service failed")


if __name__ == "__main__":
    main()
