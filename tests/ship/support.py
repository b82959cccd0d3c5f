"""What the checks of images, manifests and monitoring share: finding tools, running them, waiting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = ROOT / ".ship_cache/venv/bin"

T = TypeVar("T")


def missing(what: str, remedy: str) -> None:
    """Fail in CI, where every part must be there; skip elsewhere, and say what would bring the part."""
    message = f"{what} is missing: {remedy}"
    if os.environ.get("CI"):  # noqa: TID251 - whether this is CI is no setting of the project
        pytest.fail(message)
    pytest.skip(message)


def tool(name: str) -> str:
    """Give the path of a command, from PATH or from what `.ci/ship-tools` installed."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if found is None:
        missing(name, "run .ci/ship-tools")
    assert found is not None
    return found


def run(
    *command: str | Path, timeout: float = 120, check: bool = True, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure shows both of its outputs."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=timeout, check=False, **more
    )
    if check and done.returncode != 0:
        pytest.fail(
            f"{' '.join(map(str, command))} exited {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done


def wait_until(probe: Callable[[], T | None], *, seconds: float, what: str, every: float = 0.2) -> T:
    """Call `probe` until it gives something true; fail with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def http(
    url: str, body: object = None, *, headers: Mapping[str, str] | None = None, timeout: float = 10
) -> tuple[int, bytes]:
    """Send one request (POST with a JSON `body`, GET without); give (status, body), or (0, b"") without an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"} | dict(headers or {}))  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def status(url: str) -> int:
    """Give the status of a GET, or 0 when nothing answers."""
    return http(url, timeout=2)[0]


def load_all(text: str) -> list[dict[str, Any]]:
    """Read every document of a YAML text."""
    # The C parser: every combination of overlays is some hundred documents.
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping."""
    (document,) = load_all(path.read_text(encoding="utf-8"))
    return document
