"""Tiny real artifacts and a server process for the tests that leave it as they found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.artifacts import make_payload, promote, write_version
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.manifest import VersionRef


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with a promoted version; read only."""
    directory = tmp_path_factory.mktemp("models")
    promote(directory, write_version(directory, *make_payload(0)))
    return directory


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """A server process with the default settings, that every test leaves alive."""
    with serve(models) as running:
        yield running
        assert running.process.poll() is None


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, list[VersionRef]]:
    """A models directory with three versions, the first promoted."""
    refs = [write_version(tmp_path, *make_payload(seed), minute=seed) for seed in range(3)]
    promote(tmp_path, refs[0])
    return tmp_path, refs
