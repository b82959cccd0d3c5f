"""`python -m benchmarks.serving`: prepare the process as the service prepares itself, then measure."""

from __future__ import annotations

from app.settings import prepare_environment


def main() -> None:
    """Measure with the options of the command line."""
    prepare_environment()
    # Imported here: native libraries read the environment when they are loaded.
    from benchmarks.serving import benchmark  # noqa: PLC0415

    benchmark.main()


if __name__ == "__main__":
    main()
