"""Typed settings from `TPV_*` environment variables; a name that is not one of them is refused."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError

PREFIX: Final = "TPV_"

_MIB: Final = 1024 * 1024

_NATIVE_DEFAULTS: Final = {
    # A spinning OpenMP thread steals the core of its neighbour: with two busy neighbours one row took 32 ms, not 0.4.
    "OMP_WAIT_POLICY": "PASSIVE",
    # numpy's BLAS is not used on the hot path; its idle pool only costs memory.
    "OPENBLAS_NUM_THREADS": "1",
}


class Settings(BaseSettings):
    """Everything an operator can set. Each field is `TPV_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", case_sensitive=False)

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    models_dir: Path = Field(default=Path("models"), description="Directory of versions and `champion.json`.")
    workers: int = Field(default=1, ge=1, le=64, description="Server processes.")
    worker_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=30.0, description="Longest silence of one of several workers; then it is killed and replaced."
    )
    threads: int = Field(default=1, ge=1, le=64, description="Threads that large batches share.")
    batch_workers: int = Field(default=2, ge=1, le=16, description="Large batches computed at once in a process.")
    merged_rows: int = Field(
        default=64, ge=1, le=4096, description="Most rows of concurrent small requests answered in one call."
    )
    small_body_bytes: int = Field(
        default=32 * 1024,
        ge=0,
        description="JSON bodies up to this size are answered on the event loop, larger ones by the batch workers.",
    )
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000, description="Rows in one request.")
    max_explain_rows: int = Field(default=1_000, ge=1, description="Rows in one request that asks for reasons.")
    max_body_bytes: int = Field(
        default=16 * _MIB, ge=1024, description="Bytes of a request body, counted after decompression."
    )
    max_json_depth: int = Field(default=32, ge=5, le=200, description="Nesting of a JSON body.")
    concurrency: int = Field(default=64, ge=1, description="Predict requests worked on at once in a process.")
    queue: int = Field(default=128, ge=0, description="Predict requests that may wait for a slot; more get a 503.")
    streams: int = Field(
        default=16, ge=1, description="Open NDJSON streams in a process, beside the above; more get a 503."
    )
    request_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=30.0, description="Time from a slot to the answer; then 503."
    )
    body_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=8.0, description="Longest wait for a whole body, or for the next row of a stream; then 408."
    )
    send_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=20.0,
        description="Longest wait for a caller to take the next 64 KiB of its answer; then the connection is closed.",
    )
    header_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=8.0, description="Longest wait for a complete request head; then the connection is closed."
    )
    keep_alive_seconds: int = Field(default=75, ge=1, description="Idle time of a connection before it is closed.")
    drain_delay_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        default=1.0, description="On SIGTERM, time between /readyz turning 503 and the listener closing."
    )
    drain_seconds: int = Field(default=20, ge=1, le=600, description="On SIGTERM, time for requests in flight.")
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=2.0, description="Interval at which the champion pointer is read."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    api_keys_file: Path | None = Field(
        default=None, description="File of sha256 digests of accepted API keys, one a line; read again on change."
    )


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a `TPV_*` variable is unknown or has a value out of its range; the message is one line.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    present = [name for name in os.environ if name.upper().startswith(PREFIX)]  # noqa: TID251 - the settings module
    for name in sorted(present):
        if name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {close[0]}?" if close else "see docs/settings.md for the known ones."
            if name.upper().endswith(("_SERVICE_HOST", "_SERVICE_PORT")) or "_PORT_" in name.upper():
                hint = "Kubernetes made it for a Service: set enableServiceLinks: false in the pod."
            raise SettingsError(f"{name} is not a setting: {hint}")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = f"{PREFIX}{'_'.join(map(str, first['loc']))}".upper()
        raise SettingsError(f"{name} is not valid: {first['msg']}. Correct it or unset it for the default.") from error


def prepare_environment(multiprocess_dir: Path | None = None) -> None:
    """Set what native libraries read once, when they are loaded; call it before they are imported.

    Args:
        multiprocess_dir: where the metrics of several workers are kept, or None for one worker.
    """
    for name, value in _NATIVE_DEFAULTS.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - the settings module
    if multiprocess_dir is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(multiprocess_dir)  # noqa: TID251 - the settings module


def multiprocess_directory() -> Path | None:
    """Give the directory that `prepare_environment` set for the metrics of several workers."""
    value = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - the settings module
    return Path(value) if value else None
