"""The ordinary FastAPI template: a pydantic model, a DataFrame, a model, a dict, in functions that threads run."""

from __future__ import annotations

from typing import Any

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.setups.merchant_model import MerchantModel

app = FastAPI()
model = MerchantModel()


class Merchant(BaseModel):
    """The raw inputs."""

    cnae_fiscal_principal: int | str
    segmento: int | str
    uf: str
    municipio: str
    bairro: str | None
    mei: int
    capital_social: float
    total_estab: int
    mcc: int | str
    subsegmento: int | str
    porte: int | str
    faixa_empregados: int | str
    tier: int | str


@app.post("/predict")
def predict(merchant: Merchant) -> dict[str, Any]:
    """Give the probabilities of one merchant."""
    return {"probabilities": model.predict_frame(pd.DataFrame([merchant.model_dump()])).tolist()[0]}


@app.post("/predict_batch")
def predict_batch(merchants: list[Merchant]) -> dict[str, Any]:
    """Give the probabilities of many merchants."""
    frame = pd.DataFrame([merchant.model_dump() for merchant in merchants])
    return {"probabilities": model.predict_frame(frame).tolist()}


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer at once."""
    return {"status": "ok"}
