"""`python -m benchmarks.peers`: prepare the process as the service prepares itself, then compare."""

from __future__ import annotations

from app.settings import prepare_environment


def main() -> None:
    """Compare with the options of the command line."""
    prepare_environment()
    # Imported here: native libraries read the environment when they are loaded.
    from benchmarks.peers import comparison  # noqa: PLC0415

    comparison.main()


if __name__ == "__main__":
    main()
