"""The card of the serving model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from app.dependencies import StoreDep  # noqa: TC001 - FastAPI reads annotations at run time
from app.schemas.responses import LoadProblem, ModelCard, Served

if TYPE_CHECKING:
    from app.model.store import LoadedModel

router = APIRouter(tags=["model"])


@router.get("/model")
async def model(store: StoreDep) -> ModelCard:
    """Describe what serves, what served before, and why a newer model was refused."""
    current, failure = store.current, store.failure
    return ModelCard(
        serving=_served(current),
        previous=_served(store.previous),
        load_failure=failure
        and LoadProblem(version=failure.version, code=failure.code, message=failure.message, at=failure.at),
        manifest=current and current.manifest.model_dump(mode="json"),
    )


def _served(loaded: LoadedModel | None) -> Served | None:
    if loaded is None:
        return None
    return Served(version=loaded.ref.version, model_sha256=loaded.ref.model_sha256, loaded_at=loaded.loaded_at)
