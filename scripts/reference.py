"""Write docs/settings.md and docs/commands.md from the code; with --check, fail when they differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

from app.contract.inputs import RAW_INPUTS
from app.settings import PREFIX, Settings
from training.cli import cli
from training.config import RunConfig

DOCS = Path(__file__).resolve().parents[1] / "docs"


def settings_page() -> str:
    """The service's settings, and the sections and keys of a run's configuration."""
    lines = [
        "# Settings",
        "",
        "Made by `make reference` from `app/settings.py` and `training/config.py`.",
        "",
        "## Service",
        "",
        f"Environment variables. An unknown `{PREFIX}*` name stops the start, so a misspelt one cannot be ignored.",
        "",
        "| variable | default | means |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    lines += ["", "## Runs", "", "Keys of the TOML file that `--config` takes; flags win over the file.", ""]
    lines += ["| key | default |", "|---|---|"]
    for section, field in RunConfig.model_fields.items():
        for key, value in field.default.model_dump().items():
            lines.append(f"| `{section}.{key}` | {'none' if value is None else f'`{value}`'} |")
    lines += ["", "## Raw inputs", "", "| input | kind | optional | means | example |", "|---|---|---|---|---|"]
    for raw in RAW_INPUTS:
        optional = "yes" if raw.optional else "no"
        lines.append(f"| `{raw.name}` | {raw.kind} | {optional} | {raw.description} | `{raw.example}` |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """The help of every command."""
    group: Any = get_command(cli)
    parts = ["# Commands", "", "Made by `make reference` from `training/cli.py`.", ""]
    for name, command in group.commands.items():
        context = command.context_class(command, info_name=f"tpv {name}", max_content_width=110, terminal_width=110)
        parts += [f"## tpv {name}", "", "```", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(parts)


def main() -> int:
    """Write or check the pages."""
    pages = {DOCS / "settings.md": settings_page(), DOCS / "commands.md": commands_page()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} differs from the code: run `make reference`", file=sys.stderr)
        return 1 if stale else 0
    for path, text in pages.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
