"""Every command tells what is wrong in one line with a remedy, and its help names every option."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer.main
from typer.testing import CliRunner

from app.errors import TPVError
from tests.support.server import ROOT
from training.cli import cli, main
from training.sample_data import make_sample

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trained import TrainedModels

RUNNER = CliRunner()
COMMANDS = ("sample", "validate", "tune", "train", "run", "evaluate", "promote", "rollback", "versions", "predict")


def _main(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the console script's function; give status and what it wrote to either stream."""
    monkeypatch.setattr(sys, "argv", ["tpv", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    written = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), written.out + written.err


def test_every_command_is_there() -> None:
    """The list of the documentation."""
    help_text = RUNNER.invoke(cli, ["--help"]).output
    assert all(f"  {name} " in help_text for name in COMMANDS)
    assert {
        command.name or command.callback.__name__ for command in cli.registered_commands if command.callback
    } == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option(name: str) -> None:
    """Each parameter of a command is described."""
    command = typer.main.get_command(cli).commands[name]  # type: ignore[attr-defined]
    text = RUNNER.invoke(cli, [name, "--help"], env={"COLUMNS": "200"}).output
    for parameter in command.params:
        shown = parameter.opts[-1] if parameter.opts[0].startswith("-") else parameter.metavar
        assert str(shown).strip("[]") in text
        assert parameter.opts[0] == "--help" or parameter.help


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["validate", "none.csv"], "there is no such file. Check the path."),
        (["train", "none.csv"], "there is no such file. Check the path."),
        (["tune", "none.csv"], "there is no such file. Check the path."),
        (["run", "none.csv"], "there is no such file. Check the path."),
        (["run", "none.csv", "--config", "none.toml"], "no such configuration file"),
        (["run", "none.csv", "--trials", "0"], "tune.trials"),
        (["sample", "--rows", "0", "--out", "x.csv"], "--rows"),
        (["sample", "--rows", "5", "--out", "x.txt"], "must end in .csv or .parquet"),
        (["promote", "nothing"], "no version 'nothing'"),
        (["rollback"], "names no previous champion"),
        (["predict", "none.csv", "-o", "out.csv"], "has no champion. Promote one"),
        (["predict", "none.csv", "-o", "out.csv", "--version", "nothing"], "no version 'nothing'"),
        (["evaluate", "nothing", "none.csv"], "no version 'nothing'"),
        (["train", "none.csv", "--params", "none.json"], "Give a file written by `tpv tune --out`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It begins with the program's name, says what is wrong, and shows no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    status, text = _main(arguments, monkeypatch, capsys)
    assert status in {1, 2}
    assert said in text
    assert text.startswith("tpv: ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["predict", "x.csv", "-o", "y.csv", "--coverage", "2"], ["sample"], ["nonsense"]]
)
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    """By the option's name, with status 2."""
    done = RUNNER.invoke(cli, arguments)
    assert done.exit_code == 2
    assert "Error" in done.output
    assert "Traceback" not in done.output


def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A report into a directory that is not there."""
    file = tmp_path / "merchants.csv"
    make_sample(20, 0).to_csv(file, index=False)
    status, text = _main(["validate", str(file), "--report", str(tmp_path / "none" / "r.csv")], monkeypatch, capsys)
    assert status == 1
    assert text.startswith("tpv: ")
    assert text.count("\n") == 1


def test_bad_rows_are_listed_and_written(tmp_path: Path) -> None:
    """Row, column, value and rule of each; status 1."""
    file, report = tmp_path / "merchants.csv", tmp_path / "report.csv"
    make_sample(20, 0).astype(object).assign(uf="??").to_csv(file, index=False)
    assert RUNNER.invoke(cli, ["validate", str(file), "--report", str(report)]).exit_code == 1
    assert len(report.read_text().splitlines()) == 21


def test_sample_validate_and_versions_as_processes(trained: TrainedModels, tmp_path: Path) -> None:
    """The real thing, from a shell: synthetic data says so, checks out, and the version is listed whole."""
    file = tmp_path / "merchants.csv"
    environment = {**os.environ, "COLUMNS": "80"}  # noqa: TID251 - the child's environment

    def tpv(*arguments: str) -> str:
        command = [sys.executable, "-m", "training.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "SYNTHETIC" in tpv("sample", "--rows", "50", "--out", str(file))
    assert "50 rows, all valid" in tpv("validate", str(file))
    listed = tpv("versions", "--models", str(trained.models))
    assert trained.ref.version in listed
    assert "champion" in listed


def test_errors_of_the_project_have_a_code() -> None:
    """Every error raised on purpose in training has a code of its own."""
    codes = [error.code for error in TPVError.__subclasses__() if error.__module__.startswith("training")]
    assert "internal" not in codes
    assert len(codes) == len(set(codes))
