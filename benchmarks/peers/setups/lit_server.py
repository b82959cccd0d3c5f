"""LitServe: a LitAPI with its three steps, on the server's defaults."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import litserve as ls

from benchmarks.peers.setups.merchant_model import MerchantModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MerchantAPI(ls.LitAPI):
    """Predicts the merchants of a request."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the signature of the base class
        """Read the model."""
        self.model = MerchantModel()

    def decode_request(self, request) -> list[dict[str, Any]]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - an annotation would be taken for a model of the request
        """Take the merchants out of the request."""
        merchants: list[dict[str, Any]] = request["input"]
        return merchants

    def predict(self, x: list[dict[str, Any]]) -> NDArray[np.float32]:
        """Give their probabilities."""
        return self.model.predict(x)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, Any]:
        """Put them into the answer."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    ls.LitServer(MerchantAPI()).run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
