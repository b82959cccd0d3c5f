"""Measure named experiments on merchants of your own: `python -m benchmarks.experiments NAME --data FILE --split S`.

Rows are split 75 : 10 : 15; the model learns from the first part, decision rule and sets from the second, and all
figures are of the third. `--list` names the experiments.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.experiments.measure import HEADER, Bench, Figures, over_splits, row
from benchmarks.experiments.registry import EXPERIMENTS
from benchmarks.experiments.rows import read


def main() -> None:
    """Print a line for each experiment and split, and what several splits give together."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=(__doc__ or "").strip())
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments; all of a group by the group's name")
    parser.add_argument("--list", action="store_true", help="name the experiments and stop")
    parser.add_argument("--data", type=Path, help="CSV or Parquet file of merchants")
    parser.add_argument("--split", type=int, nargs="+", default=[0], metavar="S", help="seeds of the split")
    parser.add_argument("--seed", type=int, default=0, help="of sampling in the fits")
    parser.add_argument("--threads", type=int, default=1, help="of each fit")
    parser.add_argument("--nulls", action="store_true", help="also measure with inputs of every row set to null")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the figures to FILE, one object a line")
    arguments = parser.parse_args()
    if arguments.list:
        for name, experiment in EXPERIMENTS.items():
            print(f"{name:20} {experiment.group:16} {experiment.about}")
        return
    if arguments.data is None:
        parser.error("--data: give the file of merchants to measure on; `tpv sample` makes synthetic ones")
    wanted = set(arguments.names)
    names = [name for name, experiment in EXPERIMENTS.items() if {name, experiment.group} & wanted]
    unknown = wanted - set(EXPERIMENTS) - {experiment.group for experiment in EXPERIMENTS.values()}
    if unknown or not names:
        parser.error(f"NAME: no experiment is called {', '.join(sorted(unknown)) or 'so'}; see --list")
    run(names, arguments)


def run(names: list[str], arguments: argparse.Namespace) -> None:
    """Measure each of the experiments on each of the splits."""
    found: dict[str, list[Figures]] = {name: [] for name in names}
    print(HEADER, flush=True)
    for split in arguments.split:
        bench = Bench(read(arguments.data, split, threads=arguments.threads, seed=arguments.seed))
        for name in names:
            figures, predict = bench.measure(EXPERIMENTS[name])
            found[name].append(figures)
            print(row(name, str(split), figures), flush=True)
            nulls = bench.with_nulls(predict) if arguments.nulls else {}
            if nulls:
                losses = ", ".join(f"{missing}: {loss:.4f}" for missing, loss in nulls.items())
                print(f"  log loss by inputs set to null, {losses}", flush=True)
            if arguments.json is not None:
                with arguments.json.open("a") as file:
                    file.write(json.dumps({"name": name, "split": split, **figures.to_dict(), "nulls": nulls}) + "\n")
    if len(arguments.split) > 1:
        for name in names:
            print(over_splits(name, found[name]))


if __name__ == "__main__":
    main()
