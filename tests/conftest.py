"""One small version, really trained by the pipeline, for all tests that only read it."""

from __future__ import annotations

import pytest

from tests.support.trained import TrainedModels, make_trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModels:
    """A models directory with a promoted version, trained on a small sample with the shipped recipe."""
    return make_trained(tmp_path_factory.mktemp("trained"))
