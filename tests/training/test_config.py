"""The run configuration is strict, and its errors name the key, the rule and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from training.config import ConfigError, RunConfig, load_config

if TYPE_CHECKING:
    from pathlib import Path

COSTS = [[abs(i - j) for j in range(5)] for i in range(5)]


def _file(directory: Path, text: str) -> Path:
    path = directory / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file() -> None:
    """Without a file or flags, the documented defaults hold."""
    config = load_config(None, {})
    assert config == RunConfig()
    assert (config.split.validation, config.split.test, config.tune.trials) == (0.10, 0.20, 50)
    assert config.decision.rule == "weighted_f1"


def test_file_changes_only_what_it_names(tmp_path: Path) -> None:
    """Keys absent from the file keep their defaults."""
    config = load_config(_file(tmp_path, "[tune]\ntrials = 7\n[gate]\nmargin = 0\n"), {})
    assert config.tune.trials == 7
    assert config.tune.seed == 0
    assert config.gate.margin == 0.0


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """A flag replaces the file's value; a flag that was not given does not."""
    path = _file(tmp_path, "[tune]\ntrials = 7\nthreads = 1\n")
    config = load_config(path, {"tune.trials": 9, "tune.threads": None, "data.on_invalid": "drop"})
    assert (config.tune.trials, config.tune.threads, config.data.on_invalid) == (9, 1, "drop")


def test_configuration_is_frozen() -> None:
    """Nobody can change a run while it goes on."""
    with pytest.raises(ValidationError, match="frozen"):
        load_config(None, {}).tune.trials = 3  # type: ignore[misc]


def test_costs_are_read_from_lists(tmp_path: Path) -> None:
    """A 5 x 5 list of lists becomes an immutable matrix."""
    config = load_config(_file(tmp_path, f'[decision]\nrule = "expected_cost"\ncost_matrix = {COSTS}\n'), {})
    assert config.decision.cost_matrix == tuple(tuple(float(cost) for cost in row) for row in COSTS)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tune.trials": 0}, r"^tune\.trials: .*greater than or equal to 1, not 0: give"),
        ({"tune.trials": "5"}, r"^tune\.trials: .*valid integer, not '5': write it without quotes"),
        ({"tune.trials": True}, r"^tune\.trials: .*valid integer, not True"),
        ({"tune.trials": 1.5}, r"^tune\.trials: .*integer"),
        ({"tune.trails": 5}, r"^tune\.trails: there is no such key: did you mean 'tune\.trials'\?"),
        ({"tuning.x": 5}, r"^tuning: there is no such key"),
        ({"zzz": 5}, r"^zzz: there is no such key: known keys are data\.on_invalid, split\.seed"),
        ({"tune": 5}, r"^tune: must be a table: write \[tune\]"),
        ({"tune.timeout_seconds": float("inf")}, r"^tune\.timeout_seconds: .*finite"),
        ({"tune.storage": "study.db"}, r"^tune\.storage: .*write it as a URL such as sqlite"),
        ({"data.on_invalid": "skip"}, r"^data\.on_invalid: .*'fail' or 'drop', not 'skip'"),
        ({"split.test": 1.0}, r"^split\.test: .*less than 1"),
        ({"split.test": 0.6, "split.validation": 0.4}, r"^split: .*sum to less than 1"),
        ({"split.seed": -1}, r"^split\.seed: .*greater than or equal to 0"),
        ({"decision.rule": "expected_cost"}, r"^decision: .*decision\.cost_matrix: give 5 rows of 5"),
        ({"decision.cost_matrix": COSTS}, r"^decision: .*set decision\.rule"),
        ({"decision.rule": "expected_cost", "decision.cost_matrix": COSTS[:4]}, r"^decision: .*5 x 5"),
        ({"decision.rule": "expected_cost", "decision.cost_matrix": [[-1] * 5] * 5}, r"^decision\.cost_matrix\.0\.0"),
        ({"decision.cost_matrix": 3}, r"^decision\.cost_matrix: .*list in square brackets"),
        ({"value.cap_brl": 50}, r"^value\.cap_brl: .*greater than 100000"),
        ({"gate.confidence": 95}, r"^gate\.confidence: .*less than 1"),
    ],
)
def test_errors_name_key_rule_and_remedy(overrides: dict[str, object], message: str) -> None:
    """Each broken rule is worded for the person who wrote the key."""
    with pytest.raises(ConfigError, match=message):
        load_config(None, overrides)


def test_every_broken_key_is_reported_with_its_file(tmp_path: Path) -> None:
    """All errors come at once, and the file is named."""
    path = _file(tmp_path, "[tune]\ntrials = 0\nfoo = 1\n[gate]\nmax_ece = 2\n")
    with pytest.raises(ConfigError, match=r"tune\.trials.*tune\.foo.*gate\.max_ece.*run\.toml"):
        load_config(path, {})


def test_a_flag_below_a_value_is_refused(tmp_path: Path) -> None:
    """A file that gives a section a plain value cannot take that section's flags."""
    with pytest.raises(ConfigError, match=r"tune: must be a table"):
        load_config(_file(tmp_path, "tune = 3\n"), {"tune.trials": 4})


def test_unreadable_files_are_explained(tmp_path: Path) -> None:
    """Missing, not a file, not TOML and not UTF-8 are told apart."""
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "absent.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(_file(tmp_path, "[tune\n"), {})
    path = tmp_path / "latin.toml"
    path.write_bytes("[tune]\nstudy = 'São'\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path, {})
