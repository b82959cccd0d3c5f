"""The teacher answers only rows it has not seen, and the whole fit is repeatable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from app.contract.artifact import read_artifact
from tests.support.trained import CONFIG, QUICK, write_sample
from training.data import columns_of
from training.fit import FitSettings, out_of_fold
from training.metrics import row_log_loss
from training.pipeline import PipelineError, train
from training.prepare import Prepared, prepare
from training.split import uniform_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SETTINGS = FitSettings(folds=3, teacher_rounds=6, seed=0, threads=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A few merchants."""
    return prepare(write_sample(tmp_path_factory.mktemp("fit") / "merchants.csv", 700), CONFIG)


def _fold(frame: pd.DataFrame) -> NDArray[np.intp]:
    return np.floor(uniform_of(frame, 5) * SETTINGS.folds).astype(np.intp)


def test_identical_merchants_never_straddle_folds(prepared: Prepared) -> None:
    """Copies with other amounts have the same key, so the same fold."""
    twice = pd.concat([prepared.frame, prepared.frame], ignore_index=True)
    fold = _fold(twice)
    np.testing.assert_array_equal(fold[: len(prepared.frame)], fold[len(prepared.frame) :])
    assert len(np.unique(fold)) == SETTINGS.folds


def test_answers_do_not_leak_the_label(prepared: Prepared) -> None:
    """With shuffled labels the teacher has no skill on the very rows it learned from, and with true ones it has."""
    frame = pd.concat([prepared.frame, prepared.frame], ignore_index=True)
    columns, fold = columns_of(frame), _fold(frame)
    labels = np.tile(prepared.labels, 2)
    # The same noise on both copies: a leak through copies in two folds would show.
    noise = np.tile(np.random.default_rng(0).permutation(prepared.labels), 2)
    losses = {}
    for name, given in (("true", labels), ("shuffled", noise)):
        answers = out_of_fold(columns, given, QUICK, SETTINGS, fold=fold)
        np.testing.assert_allclose(answers.sum(axis=1), 1.0)
        losses[name] = row_log_loss(given, answers).mean()
    shares = np.bincount(noise, minlength=5) / len(noise)
    nothing = -(shares * np.log(shares)).sum()
    assert losses["shuffled"] > nothing
    assert losses["true"] < nothing - 0.05


def test_the_same_seed_gives_the_same_model(prepared: Prepared, tmp_path: Path) -> None:
    """Same data, seed and threads, same digests of every part; another seed, another model."""
    digests = []
    for number, seed in enumerate((0, 0, 1)):
        fit = CONFIG.fit.model_copy(update={"seed": seed, "refit": False})
        config = CONFIG.model_copy(update={"fit": fit})
        done = train(prepared, QUICK, config, models=tmp_path / str(number), teacher_rounds=3)
        assert read_artifact(tmp_path / str(number) / done.ref.version, done.ref).manifest.seed == seed
        digests.append(done.ref.model_sha256)
    assert digests[0] == digests[1] != digests[2]


def test_one_part_needs_a_version_for_the_other(prepared: Prepared, tmp_path: Path) -> None:
    """The error says what to do first."""
    with pytest.raises(PipelineError, match=r"--only: .*Train once without --only"):
        train(prepared, QUICK, CONFIG, models=tmp_path, only="value")
