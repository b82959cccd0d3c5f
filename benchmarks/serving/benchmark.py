"""Measure the service against the floors of its own machine, in one run.

Throughput and latency depend on the machine and on who shares it; shares of a floor that was measured a moment before
do so much less. Floor and service therefore take turns, and each figure is the median of its runs. Processor time a
request is given beside them: it is what hardly changes when other programs compete.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from app.contract.artifact import read_champion
from app.contract.features import build_matrix
from app.errors import TPVError
from app.model.predictor import load_predictor
from benchmarks.serving.bodies import batch_bodies, load_merchants, merchants_of, single_bodies
from benchmarks.serving.figures import Figure, markdown
from benchmarks.serving.inplace import InplacePredict
from benchmarks.serving.load import Load, fetch, generator, probe_beside, put_batches, put_load, quantile
from benchmarks.serving.servers import Running, running, service
from benchmarks.serving.size import serving_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator


BATCH_ROWS: Final = 10_000
BATCH_CONNECTIONS: Final = 2
BATCHES_BESIDE_LIVEZ: Final = 3
SINGLE_GOALS: Final = {1: (0.55, None), 16: (0.60, 10.0), 64: (0.60, 25.0)}
"""By connections: share of the floor, and p99 in ms."""
BATCH_GOALS: Final = {"JSON": 0.80, "CSV": 0.85, "Arrow": 0.90, "Parquet": 0.90}
WORKERS_GOAL: Final = 1.5
LIVEZ_GOAL_MS: Final = 20.0
START_GOAL_SECONDS: Final = 2.0
MEMORY_GOAL_MB: Final = 250.0
SIZE_GOALS_MB: Final = (300.0, 400.0)
FLOOR: Final = "benchmarks.serving.floor"
SERVICE: Final = "app"
_PACKAGES: Final = ("fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "msgspec", "numpy", "xgboost-cpu")


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        repeats: turns of floor and service; the median of them counts.
        seconds: of one turn of single merchants.
        batches: requests of one turn of batches.
        starts: times that the service is started to time it.
        sizes: whether to install the serving set and weigh it.
    """

    repeats: int
    seconds: float
    batches: int
    starts: int
    sizes: bool


QUICK: Final = Plan(repeats=3, seconds=1.0, batches=6, starts=1, sizes=False)
FULL: Final = Plan(repeats=5, seconds=4.0, batches=20, starts=3, sizes=True)


class Benchmark:
    """The measurements, each a method that gives figures.

    Args:
        models: the models directory.
        data: merchants to ask about, or None for synthetic ones.
        plan: how long to measure.
    """

    def __init__(self, models: Path, data: Path | None, plan: Plan) -> None:
        self._models = models
        self._plan = plan
        pointer = read_champion(models)
        self.predictor = load_predictor(models / pointer.version, pointer)
        columns = load_merchants(data, BATCH_ROWS)
        merchants = merchants_of(columns)
        self._single = single_bodies(merchants)
        self._batches = batch_bodies(merchants)
        self._inplace = InplacePredict(self.predictor.engine, build_matrix(columns, self.predictor.fitted))
        self.failed = 0

    def run(self) -> Iterator[Figure]:
        """Measure everything."""
        yield from self._starts()
        with running(FLOOR) as floor, running(SERVICE, **service(self._models)) as one:
            floor.wait_ready("/livez")
            one.wait_ready("/readyz")
            fetch(one.port, "/predict", self._single.bodies[0])
            yield Figure("memory with the model loaded", one.resident_mb(), "MB", MEMORY_GOAL_MB, at_most=True)
            yield from self._singles(floor, one)
            with running(SERVICE, **service(self._models, workers="2")) as two:
                two.wait_ready("/readyz")
                yield from self._workers(one, two)
            yield from self._many(one)
            yield from self._livez(one)
            yield Figure("memory after all of it", one.resident_mb(), "MB")
        if self._plan.sizes:
            small, whole = serving_sizes()
            yield Figure("installed, for JSON and CSV", small, "MB", SIZE_GOALS_MB[0], at_most=True)
            yield Figure("installed, with Arrow and Parquet", whole, "MB", SIZE_GOALS_MB[1], at_most=True)

    def _put(self, server: Running, connections: int) -> Load:
        before = server.cpu_seconds()
        load = put_load(server.port, "/predict", self._single, connections=connections, seconds=self._plan.seconds)
        self.failed += load.errors
        return replace(load, cpu_seconds=server.cpu_seconds() - before)

    def _put_batches(self, server: Running, name: str, connections: int) -> Load:
        before = server.cpu_seconds()
        load = put_batches(
            server.port, "/predict", self._batches[name], connections=connections, requests=self._plan.batches
        )
        self.failed += load.errors
        return replace(load, cpu_seconds=server.cpu_seconds() - before)

    def _starts(self) -> Iterator[Figure]:
        times = []
        for _ in range(self._plan.starts):
            with running(SERVICE, **service(self._models)) as server:
                times.append(server.wait_ready("/predict", self._single.bodies[0]))
        yield Figure("start to first answer", median(times), "s", START_GOAL_SECONDS, at_most=True, runs=tuple(times))

    def _singles(self, floor: Running, one: Running) -> Iterator[Figure]:
        for connections, (goal, longest) in SINGLE_GOALS.items():
            _say(f"one merchant, {connections} connections")
            turns = [(self._put(floor, connections), self._put(one, connections)) for _ in range(self._plan.repeats)]
            shares = tuple(mine.rate / base.rate for base, mine in turns)
            base, mine = (median(load.rate for load in side) for side in zip(*turns, strict=True))
            p50, p99 = median(load.p50 for _, load in turns), median(load.p99 for _, load in turns)
            cpu = [
                1e6 * median(load.cpu_seconds / max(load.requests, 1) for load in side)
                for side in zip(*turns, strict=True)
            ]
            speed = f"{mine:,.0f} of {base:,.0f} requests/s; p50 {p50:.2f} ms"
            detail = f"{speed}; processor {cpu[1]:.0f} µs, echo {cpu[0]:.0f} µs"
            name = f"one merchant, {connections} connection{'s' * (connections > 1)}"
            yield Figure(f"{name}, share of the echo", median(shares), "share", goal, detail=detail, runs=shares)
            floor_p99 = median(load.p99 for load, _ in turns)
            yield Figure(f"{name}, p99", p99, "ms", longest, at_most=True, detail=f"echo {floor_p99:.2f} ms")

    def _workers(self, one: Running, two: Running) -> Iterator[Figure]:
        _say("two workers")
        self._put(two, 64)
        turns = [(self._put(one, 64), self._put(two, 64)) for _ in range(self._plan.repeats)]
        gains = tuple(both.rate / alone.rate for alone, both in turns)
        detail = f"{median(both.rate for _, both in turns):,.0f} requests/s; wrk shares the {os.cpu_count()} cores"
        yield Figure("two workers, 64 connections, times one worker", median(gains), "times", WORKERS_GOAL,
                     detail=detail, runs=gains)  # fmt: skip

    def _many(self, one: Running) -> Iterator[Figure]:
        for name, goal in BATCH_GOALS.items():
            _say(f"{BATCH_ROWS} rows of {name}")
            turns = []
            for _ in range(self._plan.repeats):
                base = self._inplace.rate(self._plan.batches)
                turns.append((base, self._put_batches(one, name, BATCH_CONNECTIONS)))
            shares = tuple(load.rate * BATCH_ROWS / base for base, load in turns)
            rows = median(load.rate * BATCH_ROWS for _, load in turns)
            base = median(base for base, _ in turns)
            cpu = median(load.cpu_seconds / max(load.requests, 1) for _, load in turns)
            detail = (
                f"{rows:,.0f} of {base:,.0f} rows/s; p50 {median(load.p50 for _, load in turns):.0f} ms; "
                f"processor {1e3 * cpu:.0f} ms"
            )
            yield Figure(f"{BATCH_ROWS:,} rows, {name}, share of inplace_predict", median(shares), "share", goal,
                         detail=detail, runs=shares)  # fmt: skip

    def _livez(self, one: Running) -> Iterator[Figure]:
        _say("/livez beside batches")
        worst = []
        for _ in range(self._plan.repeats):
            latencies, load = probe_beside(one.port, "/livez", "/predict", self._batches["JSON"],
                                           connections=BATCHES_BESIDE_LIVEZ, requests=self._plan.batches)  # fmt: skip
            self.failed += load.errors
            worst.append(quantile(latencies, 0.99))
        yield Figure("/livez p99 beside three 10,000-row batches", median(worst), "ms", LIVEZ_GOAL_MS, at_most=True,
                     runs=tuple(worst))  # fmt: skip


def describe(benchmark: Benchmark, data: Path | None) -> dict[str, Any]:
    """Say what was measured on what."""
    manifest = benchmark.predictor.manifest
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "load": generator(),
        "load_average_at_start": os.getloadavg()[0],
        "model": manifest.version,
        "model_trained_on": "synthetic merchants" if manifest.data.synthetic else "real merchants",
        "trees": len(benchmark.predictor.engine.booster.get_dump()),
        "merchants": "synthetic" if data is None else data.name,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run with the options of the command line; exit 1 when a request failed, whatever its speed."""
    parser = argparse.ArgumentParser(prog="benchmarks/serving/run.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute at most, with more noise")
    parser.add_argument("--models", type=Path, default=Path("models"), help="models directory with a champion")
    parser.add_argument("--data", type=Path, help="merchants to ask about (CSV or Parquet); synthetic ones if absent")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    try:
        benchmark = Benchmark(arguments.models.resolve(), arguments.data, QUICK if arguments.quick else FULL)
    except TPVError as error:
        raise SystemExit(f"{error}; train one with `tpv run FILE`, or name another directory with --models") from error
    about = describe(benchmark, arguments.data)
    started = time.monotonic()
    figures = list(benchmark.run())
    about |= {"seconds": round(time.monotonic() - started), "failed_requests": benchmark.failed}
    print(markdown(figures))
    result = json.dumps({"about": about, "figures": [figure.record() for figure in figures]}, indent=1)
    print(f"\n```json\n{result}\n```")
    if arguments.json:
        arguments.json.write_text(result + "\n")
    if benchmark.failed:
        raise SystemExit(f"{benchmark.failed} requests failed")


if __name__ == "__main__":
    main()
