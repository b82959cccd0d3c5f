"""What is measured of a server, whoever wrote it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.artifact import read_champion
from app.contract.features import build_matrix
from app.model.explain import softmax
from app.model.predictor import load_predictor
from benchmarks.serving.benchmark import BATCH_CONNECTIONS, BATCH_ROWS, BATCHES_BESIDE_LIVEZ
from benchmarks.serving.bodies import SINGLE_ROWS, load_merchants, merchants_of
from benchmarks.serving.inplace import InplacePredict
from benchmarks.serving.load import Bodies, fetch, probe_beside, put_batches, put_load, quantile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers.catalogue import Wire
    from benchmarks.serving.servers import Running

CONNECTIONS: Final = 16
TOLERANCE: Final = 1e-5
"""Largest difference of a probability: every server must serve the same model."""
_STATUS_OK: Final = 200
_JSON: Final = "application/json"


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        repeats: turns; the median of them counts.
        seconds: of one turn of single merchants.
        batches: requests of one turn of batches.
    """

    repeats: int
    seconds: float
    batches: int


@dataclass(frozen=True)
class Outcome:
    """What was measured of a server; medians of the turns, which are kept beside them.

    Attributes:
        share: single merchants at 16 connections, as a share of the echo's requests a second.
        requests: a second.
        echo: requests a second of the echo in the same turns.
        p99: of a single merchant in ms.
        batch_share: rows a second of batches, as a share of `inplace_predict` on the same matrix.
        batch_rows: rows a second.
        inplace_rows: rows a second of `inplace_predict` in the same turns.
        live_p99: of the liveness route beside three batches, in ms.
        live_worst: its longest answer in any turn, in ms.
        failed: requests that were not answered with 200.
        shares: by turn.
        batch_shares: by turn.
        live_p99s: by turn.
    """

    share: float
    requests: float
    echo: float
    p99: float
    batch_share: float
    batch_rows: float
    inplace_rows: float
    live_p99: float
    live_worst: float
    failed: int
    shares: tuple[float, ...]
    batch_shares: tuple[float, ...]
    live_p99s: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


class WrongAnswerError(Exception):
    """A server does not answer as the model does; the message says how."""


class Bench:
    """One model and one set of merchants for all servers.

    Attributes:
        predictor: of the promoted artifact.
        artifact: its version directory.
        classifier: its booster in XGBoost's JSON.

    Args:
        models: the models directory.
        data: merchants to ask about, or None for synthetic ones.
        plan: how long to measure.

    Raises:
        TPVError: nothing is promoted, or the data cannot be read.
    """

    def __init__(self, models: Path, data: Path | None, plan: Plan) -> None:
        pointer = read_champion(models)
        self.artifact = models / pointer.version
        self.predictor = load_predictor(self.artifact, pointer)
        self.classifier = bytes(self.predictor.engine.booster.save_raw("json"))
        self._plan = plan
        columns = load_merchants(data, BATCH_ROWS)
        self._merchants = merchants_of(columns)
        self._matrix = build_matrix(columns, self.predictor.fitted)
        self._inplace = InplacePredict(self.predictor.engine, self._matrix)
        self._expected = softmax(self.predictor.engine.margins_of_many(self._matrix))

    def measure(self, server: Running, wire: Wire, floor: Running, echo: Wire) -> Outcome:
        """Wait for a server, compare its answers with the model's, and time it in turns with the floors.

        Raises:
            OSError: a connection broke.
            RuntimeError: it is not ready in time, or a load generator or the liveness route failed.
            WrongAnswerError: its answers are not the model's.
        """
        singles, batch, echoed = self._singles(wire), self._batch(wire), self._singles(echo)
        server.wait_ready(wire.one_path, singles.bodies[0])
        server.wait_ready(wire.live_path)
        self._check(server, wire, singles, batch)
        put_load(server.port, wire.one_path, singles, connections=CONNECTIONS, seconds=1)
        ones, manys, lives, worst, failed = [], [], [], 0.0, 0
        for _ in range(self._plan.repeats):
            base = put_load(floor.port, echo.one_path, echoed, connections=CONNECTIONS, seconds=self._plan.seconds)
            load = put_load(server.port, wire.one_path, singles, connections=CONNECTIONS, seconds=self._plan.seconds)
            ones.append((base, load))
            failed += load.errors
        for _ in range(self._plan.repeats):
            rows = self._inplace.rate(self._plan.batches)
            load = put_batches(server.port, wire.many_path, batch, connections=BATCH_CONNECTIONS,
                               requests=self._plan.batches)  # fmt: skip
            manys.append((rows, load.rate * BATCH_ROWS))
            failed += load.errors
        for _ in range(self._plan.repeats):
            latencies, load = probe_beside(server.port, wire.live_path, wire.many_path, batch,
                                           connections=BATCHES_BESIDE_LIVEZ, requests=self._plan.batches)  # fmt: skip
            failed += load.errors
            lives.append(quantile(latencies, 0.99))
            worst = max(worst, *latencies)
        shares = tuple(load.rate / base.rate for base, load in ones)
        batch_shares = tuple(rows / base for base, rows in manys)
        return Outcome(
            share=median(shares),
            requests=median(load.rate for _, load in ones),
            echo=median(base.rate for base, _ in ones),
            p99=median(load.p99 for _, load in ones),
            batch_share=median(batch_shares),
            batch_rows=median(rows for _, rows in manys),
            inplace_rows=median(base for base, _ in manys),
            live_p99=median(lives),
            live_worst=worst,
            failed=failed,
            shares=shares,
            batch_shares=batch_shares,
            live_p99s=tuple(lives),
        )

    def _singles(self, wire: Wire) -> Bodies:
        rows = range(SINGLE_ROWS)
        return Bodies(
            _JSON, [_json(wire.one(self._merchants[row : row + 1], self._matrix[row : row + 1])) for row in rows]
        )

    def _batch(self, wire: Wire) -> Bodies:
        return Bodies(_JSON, [_json(wire.many(self._merchants, self._matrix))])

    def _check(self, server: Running, wire: Wire, singles: Bodies, batch: Bodies) -> None:
        """Compare the answers to every single merchant and to the batch with the model's."""
        rows = [
            row for body in singles.bodies for row in wire.read_one(_answer(server.port, wire.one_path, body))
        ]  # fmt: skip
        _compare("one merchant", rows, self._expected[:SINGLE_ROWS])
        answer = _answer(server.port, wire.many_path, batch.bodies[0])
        _compare("a batch", wire.read_many(answer), self._expected)


def _answer(port: int, path: str, body: bytes) -> Any:
    status, answer = fetch(port, path, body)
    if status != _STATUS_OK:
        raise WrongAnswerError(f"{path} answered {status}: {answer[:300].decode(errors='replace')}")
    return json.loads(answer)


def _compare(what: str, rows: list[list[float]], expected: NDArray[np.float64]) -> None:
    if np.shape(rows) != expected.shape:
        raise WrongAnswerError(f"{what}: probabilities of shape {np.shape(rows)}, not {expected.shape}")
    difference = float(np.abs(np.array(rows) - expected).max())
    if not difference <= TOLERANCE:
        raise WrongAnswerError(f"{what}: probabilities differ from the model's by {difference:.1e}")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
