"""The peers: what each is installed from, how its documentation starts it, and how one talks to it.

Each set-up is the one that the peer's own documentation shows for a model in Python, on its defaults: one worker or
replica, access log as it comes. Where that is code of the user's own, it is given merchants and encodes them as the
service does. MLServer's ready-made runtime for XGBoost takes the finished matrix, so the caller encodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from app.contract.buckets import LABELS
from benchmarks.serving.load import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.features import Matrix

    Merchants = Sequence[dict[str, Any]]
    Write = Callable[[Merchants, Matrix], Any]
    Read = Callable[[Any], list[list[float]]]

SETUPS: Final = ROOT / "benchmarks" / "peers" / "setups"
_MODULES: Final = "benchmarks.peers.setups"
_XGBOOST: Final = version("xgboost-cpu")
"""Every peer runs the XGBoost that reads the artifact here."""
_OWN_CODE: Final = (f"xgboost-cpu=={_XGBOOST}", "joblib", "numpy", "pydantic", "typing-extensions")
"""What the model needs where it is served by code of the user's own."""


@dataclass(frozen=True)
class Wire:
    """How one talks to a server.

    Attributes:
        one_path: one merchant is posted there.
        many_path: many are.
        live_path: tells that the server is alive.
        one: makes the JSON of one merchant, of merchants and their matrix with a single row.
        many: makes the JSON of many.
        read_one: takes the probabilities out of an answer to one: one row of five.
        read_many: takes those of many out: a row a merchant.
    """

    one_path: str
    many_path: str
    live_path: str
    one: Write
    many: Write
    read_one: Read
    read_many: Read


@dataclass(frozen=True)
class Peer:
    """A serving framework in an environment of its own.

    In `prepare`, `command` and `settings` these names are filled in: {bin} of the environment, {setups}, {work} (the
    directory it runs in), {port}, {port2}, {port3} (free ones).

    Attributes:
        name: as people call it.
        packages: requirements; the first is the framework itself, to a version.
        takes: what is posted.
        command: serves on {port}.
        wire: how one talks to it.
        prepare: runs before, if given.
        settings: environment variables.
        files: folder of `setups` that is copied into {work}; the classifier is put beside its files as model.json.
    """

    name: str
    packages: tuple[str, ...]
    takes: str
    command: tuple[str, ...]
    wire: Wire
    prepare: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    files: str | None = None

    @property
    def key(self) -> str:
        """Name for files and options."""
        return self.name.partition(" ")[0].lower()

    @property
    def distribution(self) -> str:
        """Name of the framework's package."""
        return self.packages[0].partition("==")[0].partition("[")[0]


def _same(path: str, live: str, write: Write, read: Read) -> Wire:
    """Talk about one merchant as about many."""
    return Wire(path, path, live, write, write, read, read)


def _under(key: str) -> Write:
    return lambda merchants, _: {key: list(merchants)}


def _of(key: str) -> Read:
    return lambda answer: list(answer[key])


def _tensor(_: Merchants, matrix: Matrix) -> Any:
    """Write the matrix as the Open Inference Protocol does."""
    # JSON has no NaN; a null becomes one when the array is made.
    values = [None if value != value else value for value in matrix.ravel().tolist()]  # noqa: PLR0124 - NaN
    return {"inputs": [{"name": "predict", "shape": list(matrix.shape), "datatype": "FP32", "data": values}]}


def _rows_of_tensor(answer: Any) -> list[list[float]]:
    output = answer["outputs"][0]
    width = output["shape"][1]
    data = output["data"]
    return [data[start : start + width] for start in range(0, len(data), width)]


def _ours(answer: Any) -> list[float]:
    return [answer["probabilities"][label] for label in LABELS]


SERVICE_WIRE: Final = Wire(
    one_path="/predict",
    many_path="/predict",
    live_path="/livez",
    one=lambda merchants, _: merchants[0],
    many=_under("instances"),
    read_one=lambda answer: [_ours(answer)],
    read_many=lambda answer: [_ours(row) for row in answer["predictions"]],
)
"""Of the project's own service."""

PEERS: Final = (
    Peer(
        name="KServe",
        packages=("kserve==0.21.0", *_OWN_CODE),
        takes="merchants",
        command=("{bin}/python", "{setups}/kserve_server.py", "--http_port={port}", "--grpc_port={port2}"),
        wire=_same("/v1/models/tpv:predict", "/v2/health/live", _under("instances"), _of("predictions")),
    ),
    Peer(
        name="MLServer",
        # Newer uvloop no longer makes the event loop that MLServer's worker processes ask for: they die at once.
        packages=("mlserver==1.7.1", "mlserver-xgboost==1.7.1", f"xgboost=={_XGBOOST}", "uvloop<0.22"),
        takes="matrix",
        command=("{bin}/mlserver", "start", "{work}"),
        settings={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{port2}",
            "MLSERVER_METRICS_PORT": "{port3}",
        },
        files="mlserver_folder",
        wire=_same("/v2/models/tpv/infer", "/v2/health/live", _tensor, _rows_of_tensor),
    ),
    Peer(
        name="LitServe",
        packages=("litserve==0.2.19", *_OWN_CODE),
        takes="merchants",
        command=("{bin}/python", "{setups}/lit_server.py", "{port}"),
        wire=_same("/predict", "/health", _under("input"), _of("output")),
    ),
    Peer(
        name="BentoML",
        packages=("bentoml==1.4.39", *_OWN_CODE),
        takes="merchants",
        command=(
            "{bin}/bentoml", "serve", f"{_MODULES}.bentoml_service:MerchantService", "--host", "127.0.0.1", "--port",
            "{port}",
        ),
        settings={"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": "{work}"},
        wire=_same("/predict", "/livez", _under("merchants"), list),
    ),
    Peer(
        name="FastAPI with a DataFrame",
        packages=("fastapi[standard]==0.165.0", "pandas==3.1.1", *_OWN_CODE),
        takes="merchants",
        command=("{bin}/uvicorn", f"{_MODULES}.fastapi_app:app", "--port", "{port}"),
        wire=Wire(
            one_path="/predict",
            many_path="/predict_batch",
            live_path="/health",
            one=lambda merchants, _: merchants[0],
            many=lambda merchants, _: list(merchants),
            read_one=lambda answer: [answer["probabilities"]],
            read_many=_of("probabilities"),
        ),
    ),
    Peer(
        name="MLflow",
        packages=("mlflow==3.17.2", *_OWN_CODE),
        takes="merchants",
        prepare=("{bin}/python", "{setups}/mlflow_model.py", "{work}/model"),
        command=(
            "{bin}/mlflow", "models", "serve", "--model-uri", "{work}/model", "--port", "{port}", "--env-manager",
            "local",
        ),
        settings={"MLFLOW_DISABLE_TELEMETRY": "true"},
        wire=_same("/invocations", "/ping", _under("dataframe_records"), _of("predictions")),
    ),
    Peer(
        name="Ray Serve",
        packages=("ray[serve]==2.60.0", *_OWN_CODE),
        takes="merchants",
        command=("{bin}/python", "{setups}/ray_app.py", "{port}"),
        settings={"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": "{work}"},
        wire=_same("/", "/-/healthz", _under("merchants"), _of("probabilities")),
    ),
)  # fmt: skip
