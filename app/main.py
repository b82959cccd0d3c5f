"""Put the application together; nothing happens at import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from app import error_handlers
from app.error_handlers import problem_response
from app.formats.media import is_streamed
from app.lifespan import make_lifespan
from app.middleware import ApiKeys, Dispatch, Intake, RequestContext
from app.observability import Metrics, configure_logging
from app.routers import health, model, open_inference
from app.routers.open_inference import infer_route
from app.routers.predictions import predict_route
from app.schemas import openapi
from app.settings import Settings, load_settings, multiprocess_directory

API_VERSION: Final = "1.0.0"
"""Of the HTTP interface, not of the package."""

if TYPE_CHECKING:
    from starlette.types import ASGIApp

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Probes never need a key."""

_SWITCH_SECONDS: Final = 0.001
"""After which a thread of batches hands the interpreter to the event loop: beside three batches that took /livez from
16 ms to 11 (99 %), since Python's own 5 ms were waited for several times over."""

_HOT_ROUTES: Final = (predict_route, infer_route)

_DESCRIPTION: Final = (
    "Predicts in which of five ordered buckets a Brazilian merchant's monthly payment volume (TPV, BRL) falls, from "
    "thirteen registration inputs. Errors are RFC 9457 problems with a stable `code` and a pointer to the field."
)


def create_api() -> FastAPI:
    """Build the routes and their OpenAPI document."""
    api = FastAPI(title="TPV", version=API_VERSION, description=_DESCRIPTION, redoc_url=None)
    error_handlers.install(api)
    api.router.routes[:0] = _HOT_ROUTES
    for router in (health.router, model.router, open_inference.router):
        api.include_router(router)
    _declare_hot_routes(api)
    return api


def create_app(settings: Settings) -> ASGIApp:
    """Build the application: the routes behind identity, keys and intake, the busy ones without the framework."""
    metrics = Metrics(multiprocess_directory())
    api = create_api()
    api.router.lifespan_context = make_lifespan(settings, metrics)
    app: ASGIApp = Dispatch({("POST", route.path): route.endpoint for route in _HOT_ROUTES}, api)
    app = Intake(
        app,
        paths=frozenset(route.path for route in _HOT_ROUTES),
        streams=lambda path, content_type: path == predict_route.path and is_streamed(content_type),
        settings=settings,
        metrics=metrics,
        respond=problem_response,
    )
    if settings.api_keys_file is not None:
        app = ApiKeys(app, file=settings.api_keys_file, open_paths=OPEN_PATHS, respond=problem_response)
    routes = frozenset({*api.openapi()["paths"], "/docs", "/openapi.json"})
    return RequestContext(app, routes=routes, metrics=metrics, respond=problem_response)


def from_environment() -> ASGIApp:
    """Build the application of a server process, with logs configured."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    settings = load_settings()
    configure_logging(settings.log_level)
    return create_app(settings)


def _declare_hot_routes(app: FastAPI) -> None:
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
