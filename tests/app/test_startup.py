"""Starting: one-line errors with the remedy, and a process that lives without a model."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from app.settings import Settings
from tests.support.artifacts import make_models
from tests.support.merchants import merchants
from tests.support.problems import assert_problem
from tests.support.server import ROOT, environment, serve

if TYPE_CHECKING:
    from pathlib import Path


def refusal(**settings: str) -> str:
    """Start a server that must not start; give its standard error."""
    variables = {name if name.startswith("TPV_") else f"TPV_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_port_in_use(models: Path) -> None:
    """The line names the port and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(models_dir=str(models), port=str(port))
    assert f"127.0.0.1:{port}" in line
    assert "TPV_PORT" in line


def test_no_models_directory(tmp_path: Path) -> None:
    """The line names the directory and how to make a model."""
    line = refusal(models_dir=str(tmp_path / "nowhere"))
    assert "nowhere" in line
    assert "tpv run" in line


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TPV_PORTT", "1", "did you mean TPV_PORT?"),
        ("TPV_SERVICE_HOST", "10.0.0.1", "enableServiceLinks: false"),
        ("TPV_ZZZZ", "1", "docs/settings.md"),
        ("TPV_PORT", "tcp://10.0.0.1:8000", "TPV_PORT is not valid"),
        ("TPV_MAX_ROWS", "0", "TPV_MAX_ROWS is not valid"),
        ("TPV_HOST", "192.0.2.1", "TPV_HOST"),
    ],
)
def test_bad_settings(models: Path, name: str, value: str, expected: str) -> None:
    """A setting that is unknown or out of range is refused before anything is loaded."""
    assert expected in refusal(**{"models_dir": str(models), "port": "0", name: value})


def test_every_setting_has_a_description() -> None:
    """The documentation of settings is generated from these."""
    assert all(field.description for field in Settings.model_fields.values())


def test_without_a_model_the_process_lives_and_picks_one_up(tmp_path: Path) -> None:
    """No champion: alive, not ready, a clear 503 on /predict; promoted later, it serves without a restart."""
    row = merchants(1)[0]
    with serve(tmp_path, wait=False, poll_seconds="0.1") as server:
        server.wait_for("/livez", status=200)
        problem = assert_problem(httpx.get(server.url + "/readyz"), 503, "model_not_ready")
        assert "tpv promote" in problem["detail"]
        response = httpx.post(server.url + "/predict", json=row)
        assert_problem(response, 503, "model_not_ready")
        assert int(response.headers["retry-after"]) > 0
        assert httpx.get(server.url + "/model").json()["serving"] is None
        make_models(tmp_path)
        server.wait_ready(10)
        assert httpx.post(server.url + "/predict", json=row).status_code == 200


def test_sigterm_exits_zero(models: Path) -> None:
    """Told to stop, the server stops cleanly."""
    with serve(models) as server:
        assert server.stop() == 0


def test_the_service_needs_no_training_library() -> None:
    """The application works where neither the training side nor its libraries are installed."""
    code = (
        "import sys\n"
        "names = ('training', 'pandas', 'sklearn', 'optuna', 'matplotlib')\n"
        "sys.modules.update(dict.fromkeys(names))\n"  # an entry of None makes an import fail
        "from app.main import create_app, create_api; from app.settings import Settings\n"
        "print(callable(create_app(Settings())) and len(create_api().openapi()['paths']) > 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
