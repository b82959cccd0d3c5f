"""Installed size of what the service needs, weighed in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_TABLES: Final = ("arro3",)
"""Start of the names of the packages that only Arrow and Parquet need."""
_INSTALL_SECONDS: Final = 240.0


def serving_sizes() -> tuple[float, float]:
    """Install the serving set with and without Arrow and Parquet; give MB of JSON and CSV only, and of everything.

    Raises:
        RuntimeError: the installation failed.
    """
    locked = ROOT / "requirements" / "serving.txt"
    with tempfile.TemporaryDirectory(prefix="tpv-size-") as directory:
        environment = Path(directory, "venv")
        venv.create(environment, with_pip=False, symlinks=True)
        target = next((environment / "lib").glob("python*")) / "site-packages"
        if locked.is_file():
            wanted = ["--require-hashes", "-r", str(locked)]
        else:
            wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"the serving set cannot be installed: {done.stderr.strip()[-500:]}")
        sizes = {path: path.stat().st_size for path in target.rglob("*") if path.is_file()}
        tables = sum(size for path, size in sizes.items() if path.relative_to(target).parts[0].startswith(_TABLES))
        return (sum(sizes.values()) - tables) / 1e6, sum(sizes.values()) / 1e6
