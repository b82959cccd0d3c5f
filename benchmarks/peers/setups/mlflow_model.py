"""MLflow: a custom pyfunc as a model from code.

Run as a script, it saves the model that `mlflow models serve` serves.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from benchmarks.peers.setups.merchant_model import MerchantModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class MerchantPyfunc(PythonModel):
    """Predicts the rows of a frame."""

    def load_context(self, context: Any) -> None:  # noqa: ARG002 - the signature of the base class
        """Read the model."""
        self.model = MerchantModel()

    def predict(
        self,
        context: Any,  # noqa: ARG002 - the signature of the base class
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - same
    ) -> NDArray[np.float32]:
        """Give the probabilities of merchants."""
        return self.model.predict_frame(model_input)


set_model(MerchantPyfunc())

if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[1], python_model=__file__, pip_requirements=["mlflow"])
