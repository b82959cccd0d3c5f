"""The floor: FastAPI with the service's request and response models and no model behind them.

It answers with a prediction made in advance, so it does less than any real service: its throughput is what the web
framework leaves to share. Served by the same uvicorn settings as `python -m app`.
"""

from __future__ import annotations

import socket
import sys
from typing import Final

import uvicorn
from fastapi import FastAPI

from app.schemas.requests import PredictRequest  # noqa: TC001 - FastAPI reads it at run time
from app.schemas.responses import Prediction

_ANSWER: Final = Prediction.model_validate(Prediction.model_config["json_schema_extra"]["examples"][0])  # type: ignore[index]

app: Final = FastAPI()


@app.post("/predict")
async def predict(_: PredictRequest) -> Prediction:
    """Check a merchant and answer without looking at it."""
    return _ANSWER


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Answer at once."""
    return {"status": "alive"}


def main() -> None:
    """Serve on a free port of the loopback and announce it as the service does."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", log_config=None, access_log=False, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
