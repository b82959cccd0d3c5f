"""The model of a promoted artifact, for peers that run code of the user's own.

Encoding and booster are the project's, so that what differs between peers is the peer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xgboost as xgb

from app.contract.artifact import read_artifact
from app.contract.features import Fitted, build_matrix
from app.contract.inputs import RAW_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

ARTIFACT_VARIABLE = "TPV_PEER_ARTIFACT"


class MerchantModel:
    """Encoding and classifier of the artifact that the environment names."""

    def __init__(self) -> None:
        directory = Path(os.environ[ARTIFACT_VARIABLE])  # noqa: TID251 - peers start their workers themselves
        payload = read_artifact(directory).payload
        self._fitted = Fitted.from_payload(payload["features"])
        self._booster = xgb.Booster(model_file=bytearray(payload["classifier"]))

    def predict(self, merchants: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Give the probabilities of merchant objects: shape (n, 5)."""
        return self._probabilities({name: [merchant[name] for merchant in merchants] for name in RAW_NAMES})

    def predict_frame(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Give the probabilities of a frame with a column for each raw input: shape (n, 5)."""
        return self._probabilities(frame)

    def _probabilities(self, columns: Any) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._booster.inplace_predict(build_matrix(columns, self._fitted))
        return probabilities
