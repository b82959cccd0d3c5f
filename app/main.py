"""Put the application together; nothing happens at import."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from app import error_handlers
from app.error_handlers import problem_response
from app.formats.media import is_streamed
from app.lifespan import make_lifespan
from app.middleware import ApiKeys, Intake, RequestContext
from app.observability import Metrics, configure_logging
from app.routers import health, model, open_inference
from app.routers.open_inference import infer_route
from app.routers.predictions import predict_route
from app.schemas import openapi
from app.settings import Settings, load_settings, multiprocess_directory

API_VERSION: Final = "1.0.0"
"""Of the HTTP interface, not of the package."""

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Probes never need a key."""

_DESCRIPTION: Final = (
    "Predicts in which of five ordered buckets a Brazilian merchant's monthly payment volume (TPV, BRL) falls, from "
    "thirteen registration inputs. Errors are RFC 9457 problems with a stable `code` and a pointer to the field."
)


def create_app(settings: Settings) -> FastAPI:
    """Build the application."""
    metrics = Metrics(multiprocess_directory())
    app = FastAPI(
        title="TPV",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=make_lifespan(settings, metrics),
        redoc_url=None,
    )
    error_handlers.install(app)
    app.router.routes[:0] = [predict_route, infer_route]
    for router in (health.router, model.router, open_inference.router):
        app.include_router(router)
    app.add_middleware(
        Intake,
        paths=frozenset({predict_route.path, infer_route.path}),
        streams=is_streamed,
        settings=settings,
        metrics=metrics,
        respond=problem_response,
    )
    if settings.api_keys_file is not None:
        app.add_middleware(ApiKeys, file=settings.api_keys_file, open_paths=OPEN_PATHS, respond=problem_response)
    _declare_predict(app)
    routes = frozenset({*app.openapi()["paths"], "/docs", "/openapi.json"})
    app.add_middleware(RequestContext, routes=routes, metrics=metrics, respond=problem_response)
    return app


def from_environment() -> FastAPI:
    """Build the application of a server process, with logs configured."""
    settings = load_settings()
    configure_logging(settings.log_level)
    return create_app(settings)


def _declare_predict(app: FastAPI) -> None:
    """Add to the OpenAPI document the routes that FastAPI does not know."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["paths"] = {
                predict_route.path: {"post": openapi.predict_operation()},
                **document["paths"],
                infer_route.path: {"post": openapi.infer_operation()},
            }
            known = document.setdefault("components", {}).setdefault("schemas", {})
            document["components"]["schemas"] = dict(sorted((openapi.components() | known).items()))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]
