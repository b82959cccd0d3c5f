"""Start a peer in its environment, and leave nothing of it behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.peers.catalogue import SETUPS
from benchmarks.serving.inplace import THREADS
from benchmarks.serving.load import ROOT
from benchmarks.serving.servers import Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.catalogue import Peer

_PREPARE_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 10.0
_OWN_VARIABLES: Final = ("TPV_", "OMP_", "OPENBLAS_")
_LAST_WORDS: Final = 600
"""Characters of a server's log that are told when it fails."""


class StartError(Exception):
    """A peer did not start or did not stay; the message ends with what it said."""


@contextmanager
def serving(peer: Peer, place: Path, artifact: Path, classifier: bytes) -> Iterator[Running]:
    """Run a peer until the block ends; it may not listen yet when the block begins.

    Args:
        peer: which.
        place: its environment.
        artifact: the version directory that it serves.
        classifier: the booster alone, as XGBoost writes it in JSON.

    Raises:
        StartError: its preparation failed, or it ended by itself.
    """
    with tempfile.TemporaryDirectory(prefix="tpv-peer-", ignore_cleanup_errors=True) as name:
        work = Path(name, "work")
        if peer.files is None:
            work.mkdir()
        else:
            shutil.copytree(SETUPS / peer.files, work)
            (work / "model.json").write_bytes(classifier)
        ports = _free_ports(3)
        filled = {
            "bin": str(place / "bin"), "setups": str(SETUPS), "work": str(work), "port": ports[0], "port2": ports[1],
            "port3": ports[2],
        }  # fmt: skip
        variables = _variables(place, artifact) | {key: text.format(**filled) for key, text in peer.settings.items()}
        log = Path(name, "log")
        with log.open("wb") as out:
            if peer.prepare:
                command = [part.format(**filled) for part in peer.prepare]
                done = subprocess.run(command, cwd=work, env=variables, stdout=out, stderr=out, check=False,
                                      timeout=_PREPARE_SECONDS)  # fmt: skip
                if done.returncode:
                    raise StartError(f"its preparation failed: {_last_words(log)}")
            command = [part.format(**filled) for part in peer.command]
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=work, env=variables, stdout=out, stderr=out)
            try:
                yield Running(ports[0], process.pid, started)
            except (OSError, RuntimeError) as error:
                state = "ended by itself" if process.poll() is not None else "failed"
                raise StartError(f"{state} ({error}): {_last_words(log)}") from error
            finally:
                _stop(process)


def _variables(place: Path, artifact: Path) -> dict[str, str]:
    """Environment variables: the machine's own, the peer's programs first, and the project to import from."""
    # How the service tunes native libraries is part of the service, not of anyone else's documented set-up.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}  # noqa: TID251
    # Every model has as many threads as the floor; Ray would give it one.
    return inherited | {
        "PATH": f"{place / 'bin'}{os.pathsep}{inherited.get('PATH', '')}",
        "VIRTUAL_ENV": str(place),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(THREADS),
        "TPV_PEER_ARTIFACT": str(artifact),
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-_LAST_WORDS:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and every process it started, by their ids; some peers leave workers when they are told to end."""
    family = {pid: born for pid in _family(process.pid) if (born := _born(pid))}
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    left = {pid: born for pid, born in family.items() if _born(pid) == born}
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    # The next server must not be measured beside what is left of this one.
    deadline = time.monotonic() + _STOP_SECONDS
    while any(_born(pid) == born for pid, born in left.items()) and time.monotonic() < deadline:
        time.sleep(0.01)


def _family(pid: int) -> list[int]:
    """Give a process and its descendants."""
    pids = [pid]
    for one in pids:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                pids += map(int, children.read_text().split())
    return pids


def _born(pid: int) -> str:
    """Give when a process started, by which it is told from a later one of the same id; empty when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
