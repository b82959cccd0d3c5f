"""`tpv`: make or check data, tune, train, evaluate, promote, score.

Heavy libraries are imported inside the commands, so that `tpv --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.errors import TPVError
from training import console
from training.config import RunConfig, load_config

if TYPE_CHECKING:
    from training.boosting import BoosterParams
    from training.evaluation import Evaluation, Trial
    from training.prepare import Prepared

cli = typer.Typer(
    help="Predict what a merchant will process: data, tuning, training, evaluation, promotion, scoring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class OnInvalid(StrEnum):
    """What to do with rows that break a rule."""

    FAIL = "fail"
    DROP = "drop"


class Part(StrEnum):
    """A part of the artifact that can be trained alone."""

    CLASSIFIER = "classifier"
    VALUE = "value"


File = Annotated[Path, typer.Argument(metavar="FILE", help="Merchants as CSV or Parquet in the raw layout.")]
Models = Annotated[Path, typer.Option("--models", envvar="TPV_MODELS_DIR", help="Directory of versions and champion.")]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file with the run's configuration.")]
Threads = Annotated[int | None, typer.Option("--threads", help="OpenMP threads.  [default: 2]")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of split, tuning and fit.  [default: 0]")]
Invalid = Annotated[
    OnInvalid | None, typer.Option("--on-invalid", help="What to do with rows that break a rule.  [default: fail]")
]
Trials = Annotated[int | None, typer.Option("--trials", help="Trials of the study.  [default: 50]")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds after which no trial starts.")]
Storage = Annotated[
    str | None, typer.Option("--study", help="Optuna storage URL.  [default: study.db in the models directory]")
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Name of a version in the models directory.")]
DEFAULT_MODELS = Path("models")
_STATUS = {"gate_refused": 3}
"""Exit status by error code; 1 for all others."""


@cli.command()
def sample(
    rows: Annotated[int, typer.Option("--rows", help="Number of merchants.")],
    out: Annotated[Path, typer.Option("--out", help="CSV or Parquet file to write.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same merchants.")] = 0,
) -> None:
    """Write SYNTHETIC merchants in the raw layout."""
    from training.sample_data import make_sample

    if out.suffix not in {".csv", ".parquet"}:
        _fail(f"--out: {out} must end in .csv or .parquet", code=2)
    try:
        table = make_sample(rows, seed)
    except ValueError as error:
        _fail(f"--rows: {error}", code=2)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False) if out.suffix == ".csv" else table.to_parquet(out, index=False)
    except OSError as error:
        _fail(f"--out: cannot write {out}: {error.strerror or error}. Choose a directory that can be written.")
    console.out.print(f"{out}: {rows:,} SYNTHETIC merchants (seed {seed}); none of them is real")


@cli.command()
def validate(
    file: File,
    report: Annotated[Path | None, typer.Option("--report", help="CSV file for every bad row and rule.")] = None,
) -> None:
    """Check every row of FILE; exit with 1 when one breaks a rule."""
    from training.data import validate as check
    from training.data_files import read_table

    result = check(read_table(file))
    if report is not None:
        result.problems.to_csv(report, index=False)
    if result.ok:
        console.out.print(f"{file}: {result.n_rows:,} rows, all valid")
        return
    shown = 20
    for problem in result.problems.head(shown).itertuples(index=False):
        console.err.print(f"row {problem.row}, {problem.column} = {problem.value!r}: {problem.rule}", markup=False)
    if len(result.problems) > shown and report is None:
        console.err.print(f"… and {len(result.problems) - shown:,} more; write them all with --report FILE.csv")
    bad = result.problems["row"].nunique()
    _fail(f"{file}: {bad:,} of {result.n_rows:,} rows are invalid" + (f"; all are in {report}" if report else ""))


@cli.command()
def tune(
    file: File,
    trials: Trials = None,
    timeout: Timeout = None,
    study: Storage = None,
    config: Config = None,
    models: Models = DEFAULT_MODELS,
    threads: Threads = None,
    seed: Seed = None,
    on_invalid: Invalid = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the best parameters.")] = None,
) -> None:
    """Search for booster parameters; a study can be resumed and shared, and Ctrl-C keeps what is done."""
    settings = _settings(config, models, threads, seed, on_invalid, trials=trials, timeout=timeout, study=study)
    prepared = _prepare(file, settings)
    params, rounds, _ = _tune(prepared, settings)
    found = {**params.to_dict(), "rounds": rounds}
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n")
    console.out.print_json(data=found)


@cli.command()
def train(
    file: File,
    params: Annotated[Path | None, typer.Option("--params", help="JSON file of parameters, as tune writes it.")] = None,
    only: Annotated[Part | None, typer.Option("--only", help="Train one part and keep the champion's other.")] = None,
    config: Config = None,
    models: Models = DEFAULT_MODELS,
    threads: Threads = None,
    seed: Seed = None,
    on_invalid: Invalid = None,
) -> None:
    """Fit, measure and write a version."""
    settings = _settings(config, models, threads, seed, on_invalid)
    chosen, rounds = _read_params(params)
    prepared = _prepare(file, settings)
    _train(prepared, settings, models, params=chosen, rounds=rounds, only=only)


@cli.command()
def run(
    file: File,
    trials: Trials = None,
    timeout: Timeout = None,
    study: Storage = None,
    promote: Annotated[bool, typer.Option("--promote", help="Ask the gate and make the version champion.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote even when the gate refuses; it is recorded.")] = False,
    config: Config = None,
    models: Models = DEFAULT_MODELS,
    threads: Threads = None,
    seed: Seed = None,
    on_invalid: Invalid = None,
) -> None:
    """Validate, tune, train, evaluate and write a version."""
    settings = _settings(config, models, threads, seed, on_invalid, trials=trials, timeout=timeout, study=study)
    prepared = _prepare(file, settings)
    params, rounds, tried = _tune(prepared, settings)
    version = _train(prepared, settings, models, params=params, rounds=rounds, study=tried)
    if promote or force:
        _promote(models, version, settings, force=force)


@cli.command()
def evaluate(
    version: Version,
    file: File,
    models: Models = DEFAULT_MODELS,
    report: Annotated[Path | None, typer.Option("--report", help="Directory for report, card and figures.")] = None,
) -> None:
    """Measure VERSION on all valid rows of FILE, which must be merchants it has not learned from."""
    from training.pipeline import evaluate_on
    from training.registry import reference

    reference(models, version)
    evaluation = evaluate_on(models / version, file)
    console.out.print(console.metrics_table(evaluation))
    if report is not None:
        _write_report(report, evaluation)


@cli.command()
def promote(
    version: Version,
    force: Annotated[bool, typer.Option("--force", help="Promote even when the gate refuses; it is recorded.")] = False,
    config: Config = None,
    models: Models = DEFAULT_MODELS,
) -> None:
    """Make VERSION the champion when it beats the present one on the same test rows and is calibrated."""
    _promote(models, version, load_config(config, {}), force=force)


@cli.command()
def rollback(models: Models = DEFAULT_MODELS) -> None:
    """Go back to the previous champion."""
    from training.registry import rollback as go_back

    pointer = go_back(models)
    console.out.print(
        f"champion: {pointer.version} (before: {pointer.previous.version if pointer.previous else 'none'})"
    )


@cli.command()
def versions(models: Models = DEFAULT_MODELS) -> None:
    """List the versions, each checked against its digests."""
    from rich.table import Column, Table

    from training.registry import versions as list_versions

    table = Table(Column("version", no_wrap=True), "", "log loss", "data", Column("problem", overflow="fold"))
    for listed in list_versions(models):
        role = "champion" if listed.champion else "previous" if listed.previous else ""
        manifest = listed.manifest
        table.add_row(
            listed.version,
            role,
            f"{manifest.metrics.get('log_loss', float('nan')):.4f}" if manifest else "–",
            f"{manifest.data.rows:,} {'SYNTHETIC ' if manifest.data.synthetic else ''}rows" if manifest else "–",
            listed.problem or "",
        )
    console.out.print(table)


@cli.command()
def predict(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV or Parquet file to write.")],
    version: Annotated[str | None, typer.Option("--version", help="Version.  [default: the champion]")] = None,
    coverage: Annotated[float, typer.Option("--coverage", min=0.5, max=0.99, help="Of the prediction sets.")] = 0.9,
    models: Models = DEFAULT_MODELS,
    threads: Threads = None,
) -> None:
    """Score FILE offline with bounded memory."""
    from app.model.predictor import PredictOptions, load_predictor
    from training.registry import champion, reference
    from training.scoring import score

    pinned = reference(models, version) if version else champion(models)
    if pinned is None:
        _fail(
            f"--models: {models} has no champion. Promote one with `tpv promote VERSION`, or name one with --version."
        )
    name = pinned.version
    predictor = load_predictor(models / name, pinned, threads=threads or 2)
    with console.rows("scoring") as tell:
        answered, refused = score(file, output, predictor, PredictOptions(coverage=coverage), tell=tell)
    note = " (trained on SYNTHETIC merchants)" if predictor.manifest.data.synthetic else ""
    console.out.print(f"{output}: {answered:,} rows answered by {name}{note}, {refused:,} refused")
    if refused:
        raise typer.Exit(1)


def main() -> None:
    """Run a command; an error is one line with status 1, a refusal of the gate has 3, and Ctrl-C ends with 130."""
    # Spinning OpenMP threads make a fit on a busy machine many times slower; it is read when XGBoost loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251 - not a setting of ours
    try:
        cli(standalone_mode=True)
    except TPVError as error:
        _fail(str(error), code=_STATUS.get(error.code, 1))
    except OSError as error:
        _fail(f"cannot use {error.filename}: {error.strerror or error}. Check that it is there and may be written.")
    except KeyboardInterrupt:
        _fail("interrupted; what was finished is kept", code=130)


def _fail(message: str, *, code: int = 1) -> NoReturn:
    console.err.print(f"tpv: {message}", markup=False, soft_wrap=True)
    sys.exit(code)


def _settings(
    config: Path | None,
    models: Path,
    threads: int | None,
    seed: int | None,
    on_invalid: OnInvalid | None,
    *,
    trials: int | None = None,
    timeout: float | None = None,
    study: str | None = None,
) -> RunConfig:
    if config is None and study is None:
        study = f"sqlite:///{models / 'study.db'}"
    overrides: dict[str, object] = {
        "data.on_invalid": on_invalid and on_invalid.value,
        "tune.trials": trials,
        "tune.timeout_seconds": timeout,
        "tune.storage": study,
        **{f"{section}.threads": threads for section in ("tune", "fit")},
        **{f"{section}.seed": seed for section in ("split", "tune", "fit", "gate")},
    }
    return load_config(config, overrides)


def _prepare(file: Path, settings: RunConfig) -> Prepared:
    from training.prepare import prepare

    with console.steps("data", 1) as tell:
        prepared = prepare(file, settings)
        sides = prepared.split
        tell(f"{len(prepared.frame):,} rows: {len(sides.train):,} / {len(sides.validation):,} / {len(sides.test):,}")
    if prepared.dropped:
        console.err.print(f"dropped {prepared.dropped:,} invalid rows; `tpv validate {file}` lists them")
    if prepared.synthetic:
        console.err.print("these merchants are SYNTHETIC: the results say nothing about real ones")
    if not prepared.amounts_are_real:
        console.err.print(
            "warning: all rows of a bucket share one amount, so amounts inside buckets are not real; values are "
            "switched off, buckets and probabilities are not affected"
        )
    return prepared


def _tune(prepared: Prepared, settings: RunConfig) -> tuple[BoosterParams, int, list[Trial]]:
    from training.boosting import BoosterParams
    from training.evaluation import Trial
    from training.pipeline import TEACHER_ROUNDS, tuning_data
    from training.tuning import best_params, open_study
    from training.tuning import tune as search

    _make_storage_directory(settings.tune.storage)
    data = tuning_data(prepared)
    try:
        with console.trials(settings.tune.trials) as tell:
            study = search(data, settings.tune, tell=tell)
    except KeyboardInterrupt:
        console.err.print("tuning interrupted; finished trials are kept, the best so far is used")
        study = open_study(settings.tune, data.identity)
    names = {"COMPLETE": "complete", "PRUNED": "pruned"}
    tried: list[Any] = [
        Trial(trial.number, trial.value, names.get(trial.state.name, "failed"))  # type: ignore[arg-type]
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]
    params, rounds = best_params(study) or (BoosterParams(), TEACHER_ROUNDS)
    return params, rounds, tried


def _make_storage_directory(storage: str) -> None:
    prefix = "sqlite:///"
    if storage.startswith(prefix):
        Path(storage.removeprefix(prefix)).parent.mkdir(parents=True, exist_ok=True)


def _train(
    prepared: Prepared,
    settings: RunConfig,
    models: Path,
    *,
    params: BoosterParams,
    rounds: int,
    only: Part | None = None,
    study: list[Trial] | None = None,
) -> str:
    from training.pipeline import champion_artifact, steps_of_training
    from training.pipeline import train as fit

    models.mkdir(parents=True, exist_ok=True)
    with console.steps("training", steps_of_training(settings)) as tell:
        trained = fit(
            prepared,
            params,
            settings,
            models=models,
            teacher_rounds=rounds,
            base=champion_artifact(models) if only else None,
            only=only.value if only else None,
            study=study or (),
            progress=tell,
        )
    console.out.print(console.metrics_table(trained.evaluation))
    console.out.print(
        f"wrote {models / trained.ref.version}: open its report.html, or `tpv promote {trained.ref.version}`"
    )
    return trained.ref.version


def _read_params(path: Path | None) -> tuple[BoosterParams, int]:
    from training.boosting import BoosterParams
    from training.pipeline import TEACHER_ROUNDS

    if path is None:
        return BoosterParams(), TEACHER_ROUNDS
    try:
        values = json.loads(path.read_text())
        rounds = int(values.pop("rounds", TEACHER_ROUNDS))
        return BoosterParams.from_dict(values), rounds
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _fail(f"--params: cannot use {path}: {error}. Give a file written by `tpv tune --out`.", code=2)


def _promote(models: Path, version: str, settings: RunConfig, *, force: bool) -> None:
    from training.promotion import promote_if_better

    pointer, decision = promote_if_better(models, version, settings.gate, force=force)
    for reason in decision.reasons if decision else ():
        console.out.print(reason, markup=False)
    console.out.print(f"champion: {pointer.version}" + (" (forced)" if pointer.forced else ""))


def _write_report(directory: Path, evaluation: Evaluation) -> None:
    from training.report import write_report

    directory.mkdir(parents=True, exist_ok=True)
    write_report(directory, evaluation)
    console.out.print(f"wrote {directory / 'report.html'}")


if __name__ == "__main__":
    main()
