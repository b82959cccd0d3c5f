"""The wall clock jumps by an hour while the service runs (libfaketime, Debian package of that name)."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.support import HEAD, connect, half_sent, pressure, read_answer, serving_version, wait_until
from tests.support.artifacts import promote
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from app.contract.manifest import VersionRef

ROW = merchants(1, seed=7)[0]
LIBRARY = "faketime/libfaketime.so.1"


def library() -> str:
    """Find libfaketime; its absence is a failure, with the remedy."""
    found = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}"))
    assert found, "libfaketime is not installed: apt-get install libfaketime"
    return str(found[0])


def _clock_of(server: Server) -> float:
    """Read the server's wall clock."""
    return parsedate_to_datetime(httpx.get(server.url + "/livez").headers["date"]).timestamp()


@pytest.mark.parametrize("jump", ["+3600", "-3600"])
def test_timeouts_hold_when_the_clock_jumps(
    three: tuple[Path, list[VersionRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    """Requests in flight finish, slow bodies are cut in their time, the champion is followed, SIGTERM works."""
    models, refs = three
    clock = tmp_path / "clock"
    clock.write_text("+0")
    for name, value in {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with serve(models, poll_seconds="0.1", body_timeout_seconds="6", header_timeout_seconds="6") as server:
        for name in [name for name in os.environ if name.startswith("FAKETIME") or name == "LD_PRELOAD"]:  # noqa: TID251
            monkeypatch.delenv(name)
        body = b" " * 500
        slow, _ = half_sent(server, body)
        head = connect(server)
        head.sendall(HEAD)
        flight, rest = half_sent(server, httpx.Request("POST", server.url, json=ROW).read())
        with pressure(server, ROW, threads=2, pause=0.01) as outcome:
            time.sleep(0.5)
            started = time.monotonic()
            clock.write_text(jump)
            wait_until(lambda: abs(_clock_of(server) - time.time()) > 3000, 4, "the server's clock jumped")
            flight.sendall(rest)
            assert read_answer(flight)[0] == 200
            assert read_answer(slow)[0] == 408
            assert read_answer(head)[0] == 0
            assert 0.5 < time.monotonic() - started < 10
            promote(models, refs[1], refs[0])
            wait_until(lambda: serving_version(server) == refs[1].version, 5, "the new champion serves")
        slow.close()
        head.close()
        flight.close()
        outcome.assert_all_served()
        told = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - told < 10
