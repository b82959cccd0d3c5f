"""One tiny artifact and one server process for all tests that change neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.artifacts import make_models
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with a promoted tiny version; read only."""
    directory = tmp_path_factory.mktemp("models")
    make_models(directory)
    return directory


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """A server process that nobody stops or reconfigures."""
    with serve(models, max_rows="1000") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    with server.client() as connected:
        yield connected
