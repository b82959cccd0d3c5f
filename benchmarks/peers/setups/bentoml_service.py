"""BentoML: a service class with one API, served by `bentoml serve`."""

from __future__ import annotations

from typing import Any

import bentoml
import numpy as np  # noqa: TC002 - BentoML reads it at run time

from benchmarks.peers.setups.merchant_model import MerchantModel


@bentoml.service
class MerchantService:
    """Predicts the merchants of a request."""

    def __init__(self) -> None:
        self.model = MerchantModel()

    @bentoml.api
    def predict(self, merchants: list[dict[str, Any]]) -> np.ndarray:
        """Give the probabilities of merchants."""
        return self.model.predict(merchants)
