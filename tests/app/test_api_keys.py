"""API keys: asked for when a file of digests is named, rotated without a restart, never asked of probes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx
import pytest

from app.middleware import read_digests
from tests.support.merchants import merchants
from tests.support.problems import assert_problem
from tests.support.server import serve

if TYPE_CHECKING:
    from pathlib import Path

ROW = merchants(1)[0]


def digest(key: str) -> str:
    """Hash a key as the file holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def test_keys_are_asked_for_and_rotate(models: Path, tmp_path: Path) -> None:
    """No key and a wrong key are 401; either header works; a changed file counts at once."""
    keys = tmp_path / "keys"
    keys.write_text(f"# made-up\n{digest('one')}\n\n{digest('two').upper()}\n")
    with serve(models, api_keys_file=str(keys)) as server, server.client() as client:

        def status(**headers: str) -> int:
            return client.post("/predict", json=ROW, headers=headers).status_code

        response = client.post("/predict", json=ROW)
        assert_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
        assert_problem(client.get("/model", headers={"x-api-key": "three"}), 401, "unauthorized")
        for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        assert status(authorization="Bearer one") == 200
        assert status(**{"x-api-key": "two"}) == 200
        assert status(authorization="Basic one") == 401
        assert status(**{"x-api-key": ""}) == 401
        keys.write_text(digest("three"))
        assert status(**{"x-api-key": "one"}) == 401
        assert status(**{"x-api-key": "three"}) == 200
        keys.write_text("not a digest")
        assert status(**{"x-api-key": "three"}) == 401
        keys.unlink()
        assert status(**{"x-api-key": "three"}) == 401
        assert httpx.get(server.url + "/livez").status_code == 200


def test_a_line_that_is_no_digest_is_named_by_number() -> None:
    """A key pasted in plain text is not repeated in the message."""
    with pytest.raises(ValueError, match="line 2") as caught:
        read_digests(f"{digest('a')}\nplain-key\n")
    assert "plain-key" not in str(caught.value)
