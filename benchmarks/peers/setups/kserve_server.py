"""KServe: a custom predictor on the Python SDK's model server, speaking the V1 protocol."""

from __future__ import annotations

import argparse
from typing import Any

from kserve import Model, ModelServer, model_server

from benchmarks.peers.setups.merchant_model import MerchantModel


class MerchantPredictor(Model):
    """Predicts the instances of a request."""

    def load(self) -> bool:
        """Read the model and say that it is ready."""
        self.model = MerchantModel()
        self.ready = True
        return self.ready

    async def predict(
        self,
        payload: dict[str, Any],
        headers: dict[str, str] | None = None,  # noqa: ARG002 - the signature of the base class
        response_headers: dict[str, str] | None = None,  # noqa: ARG002 - same
    ) -> dict[str, Any]:
        """Answer `{"instances": [...]}`."""
        return {"predictions": self.model.predict(payload["instances"]).tolist()}


if __name__ == "__main__":
    arguments, _ = argparse.ArgumentParser(parents=[model_server.parser]).parse_known_args()
    predictor = MerchantPredictor("tpv")
    predictor.load()
    ModelServer().start([predictor])
