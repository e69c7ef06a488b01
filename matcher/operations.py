"""Health, readiness, metrics and the API page: what operators and their machines ask (CONTRACT 10)."""

import os
from importlib.resources import files
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.params import FromPath
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from matcher import metrics
from matcher.accounts.access import Access, bearer_token
from matcher.core import Core
from matcher.errors import Forbidden, NotFound
from matcher.http import json_response
from matcher.limits import Limit
from matcher.redis import REDIS_ERRORS, create_redis
from matcher.serialization import WireStruct
from matcher.settings import LOOPBACK

PUBLIC = {"access": Access.PUBLIC, "limit": Limit.NONE}
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


class Health(WireStruct):
    """The process lives."""

    status: str


class Readiness(WireStruct):
    """What the process can do now. `degraded`: orders go on, live events wait."""

    status: str
    missing: list[str]
    shops: int


@get("/health", opt=PUBLIC, tags=["operations"], sync_to_thread=False)
def health() -> Response[Health]:
    """Alive; asks nothing of PostgreSQL or Redis."""
    return json_response({"status": "ok"})


@get("/ready", opt=PUBLIC, tags=["operations"])
async def ready(state: State) -> Response[Readiness]:
    """Whether requests should come here: 503 names what is missing; without Redis it is `degraded`, still 200."""
    core: Core = state.core
    missing = []
    try:
        await core.pool.fetchval("SELECT 1", timeout=2)
    except Exception:  # noqa: BLE001  whatever it is, the database does not answer
        missing.append("postgresql")
    if not core.directory.loaded:
        missing.append("index")
    refused = list(missing)
    if not (await _redis_answers(core.redis_url) and state.realtime.hub.healthy):
        missing.append("redis")
    status = "unavailable" if refused else "degraded" if missing else "ready"
    body = {"status": status, "missing": missing, "shops": len(core.directory)}
    return json_response(body, 503 if refused else 200)


async def _redis_answers(redis_url: str) -> bool:
    client = create_redis(redis_url, timeout_s=1.0, retries=0)
    try:
        await client.ping()
    except REDIS_ERRORS:
        return False
    finally:
        await client.aclose()
    return True


@get("/metrics", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def metrics_page(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Prometheus metrics, for loopback or the bearer of MATCHER_METRICS_TOKEN."""
    core: Core = state.core
    token = core.settings.metrics_token
    local = request.client is not None and request.client.host in LOOPBACK
    if not (bearer_token(request) == token if token else local):
        raise Forbidden("Metrics are for loopback, or for the bearer of MATCHER_METRICS_TOKEN.")
    pool = core.pool
    metrics.POOL_CONNECTIONS.labels("idle").set(pool.get_idle_size())
    metrics.POOL_CONNECTIONS.labels("used").set(pool.get_size() - pool.get_idle_size())
    metrics.PUBLISH_WAITING.set(core.publisher.waiting)
    return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)


def _registry() -> CollectorRegistry:
    if MULTIPROCESS_VARIABLE not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return registry


@get("/schema-assets/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def schema_asset(name: FromPath[str]) -> Response[bytes]:
    """The API page's own files, so that it works without the internet."""
    if name not in ASSETS:
        raise NotFound
    content = files("swagger_ui").joinpath("static", name).read_bytes()
    return Response(content, media_type=ASSETS[name], headers={"Cache-Control": "max-age=86400"})


def api_page() -> SwaggerRenderPlugin:
    """The interactive page at /schema."""
    return SwaggerRenderPlugin(
        js_url="/schema-assets/swagger-ui-bundle.js",
        css_url="/schema-assets/swagger-ui.css",
        standalone_preset_js_url="/schema-assets/swagger-ui-standalone-preset.js",
        favicon='<link rel="icon" href="data:,">',
        path="/",
    )


API_ROUTES = [health, ready]
ROOT_ROUTES = [metrics_page, schema_asset]
