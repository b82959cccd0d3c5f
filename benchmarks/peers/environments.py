"""Virtual environments of the peers, made by uv outside of the project's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.peers.catalogue import Peer

_INSTALL_SECONDS: Final = 900.0
_ALSO_REPORTED: Final = ("xgboost-cpu", "xgboost", "numpy", "pandas", "fastapi", "uvicorn")
_VERSIONS: Final = """
import importlib.metadata as metadata, json, sys
print(json.dumps({name: metadata.version(name) for name in sys.argv[1:] if any(metadata.distributions(name=name))}))
"""


class InstallError(Exception):
    """An environment cannot be made; the message says why."""


def environment(peer: Peer, directory: Path) -> Path:
    """Give the environment of a peer, installing it where it is not there or was made from other requirements.

    Raises:
        InstallError: uv is absent or refused.
    """
    place = directory / peer.key
    stamp = place / "installed.json"
    wanted = json.dumps(peer.packages)
    if stamp.is_file() and stamp.read_text() == wanted:
        return place
    print(f"… installing {peer.name} into {place}", file=sys.stderr, flush=True)
    directory.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place))
    _uv("pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *peer.packages)
    stamp.write_text(wanted)
    return place


def versions(peer: Peer, place: Path) -> dict[str, str]:
    """Versions of the framework, and of what it and the model stand on."""
    names = [peer.distribution, *_ALSO_REPORTED]
    command = [str(place / "bin" / "python"), "-c", _VERSIONS, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _uv(*arguments: str) -> None:
    program = shutil.which("uv")
    if program is None:
        raise InstallError("uv is not installed; `pip install uv`")
    done: subprocess.CompletedProcess[str] | None = None
    command: Sequence[str] = [program, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"uv {arguments[0]} took longer than {_INSTALL_SECONDS:.0f} s") from error
    if done.returncode:
        raise InstallError(f"uv {arguments[0]} failed: {' '.join(done.stderr.split())[-400:]}")
