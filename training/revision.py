"""Which code trains: asked of git in a checkout, told by the environment in an image."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

VARIABLE: Final = "SOURCE_REVISION"
"""Names the commit where there is no checkout; the training image sets it to the revision in its label."""
_UNKNOWN: Final = "unknown"
"""What an image says that was built without a revision."""


@cache
def code_revision() -> str | None:
    """The commit of the training code, with `-dirty` for uncommitted changes; None when nobody knows it."""
    return _checked_out(Path(__file__)) or _told()


def _checked_out(file: Path) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # A copy that is installed somewhere below another project's checkout is not of that project's commit.
    tracked = _answer([git, "ls-files", "--error-unmatch", file.name], file.parent)
    return tracked and _answer([git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], file.parent)


def _answer(command: list[str], where: Path) -> str | None:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - fixed command lines
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _told() -> str | None:
    told = os.environ.get(VARIABLE, "").strip()  # noqa: TID251 - a fact of the image, not a setting
    return None if told in {"", _UNKNOWN} else told
