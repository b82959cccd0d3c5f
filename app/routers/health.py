"""Probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.dependencies import DrainingDep, MetricsDep, StoreDep  # noqa: TC001 - FastAPI reads annotations at run time
from app.errors import DrainingError
from app.schemas.problems import PROBLEM_JSON, Problem
from app.schemas.responses import Health

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> Health:
    """Tell that the process answers; it looks at nothing else."""
    return Health(status="alive")


@router.get("/readyz", responses={503: {"model": Problem, "content": {PROBLEM_JSON: {}}}})
async def readyz(store: StoreDep, draining: DrainingDep) -> Health:
    """Tell whether predictions are served: a model is loaded and the process was not told to stop."""
    if draining.started:
        raise DrainingError("the process was told to stop; send requests elsewhere")
    store.require()
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(metrics: MetricsDep) -> Response:
    """Give every metric in the Prometheus text format."""
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
