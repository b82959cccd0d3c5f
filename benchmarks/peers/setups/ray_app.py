"""Ray Serve: one deployment with one replica behind Ray's HTTP proxy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ray import serve

from benchmarks.peers.setups.merchant_model import MerchantModel

if TYPE_CHECKING:
    from starlette.requests import Request


@serve.deployment
class MerchantDeployment:
    """Predicts the merchants of a request."""

    def __init__(self) -> None:
        self.model = MerchantModel()

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer `{"merchants": [...]}`."""
        payload = await request.json()
        return {"probabilities": self.model.predict(payload["merchants"]).tolist()}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(MerchantDeployment.bind(), blocking=True)
