"""`create_app()`: the only place where HTTP is put together."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from matcher import operations
from matcher.accounts import routes as account_routes
from matcher.accounts import security_routes
from matcher.accounts.access import guard, provide_call, provide_caller
from matcher.accounts.identities import IdentityCache
from matcher.accounts.passwords import Passwords
from matcher.accounts.repository import find_contact
from matcher.accounts.service import AccountService
from matcher.accounts.tokens import TokenSigner
from matcher.addresses import TrustedProxies
from matcher.admission import Admission
from matcher.audit import AuditTrail, Kind
from matcher.core import Core, open_core, running
from matcher.db import Connection
from matcher.errors import MatcherError
from matcher.http import RequestContext, WireDTO, handle_exception
from matcher.limits import Limit, Limits, limit_account, limit_address
from matcher.notifications import routes as notification_routes
from matcher.notifications.acks import AckBook
from matcher.notifications.channels import web_push_key
from matcher.notifications.reach import ReachService
from matcher.notifications.service import NotificationService
from matcher.quotes import order_routes, quote_routes
from matcher.quotes.order_changes import OrderChanges
from matcher.quotes.order_service import OrderService
from matcher.quotes.photos import PhotoService
from matcher.quotes.quote_service import QuoteService
from matcher.quotes.submission import SubmissionQueue
from matcher.realtime import routes as realtime_routes
from matcher.realtime.hub import Hub
from matcher.realtime.service import RealtimeService
from matcher.redis import create_redis
from matcher.reference import DocumentedProblems
from matcher.settings import Settings
from matcher.shops import routes as shop_routes
from matcher.shops.directory import ShopDirectory, ShopSummary
from matcher.shops.onboarding_service import OnboardingService
from matcher.shops.service import ShopService
from matcher.shops.uploads import UploadService
from matcher.sockets import SocketIdentities, SocketRequests, SocketSnapshots

API = "/api/v1"
MAX_BODY_BYTES = 256 * 1024
# A process that is busy is alive, and tells how busy it is.
UNBOUNDED = (f"{API}/health", f"{API}/ready", "/metrics")

# The services that routes name as dependencies; `_open_services` puts each on the app's state.
SERVICES = (
    "accounts",
    "audit",
    "shops",
    "onboarding",
    "uploads",
    "orders",
    "changes",
    "quotes",
    "photos",
    "notifications",
    "reach",
)

DESCRIPTION = """Auto-parts orders matched to the nearest shops, quotes streaming back live.

Sign in with `POST /auth/login`, send `Authorization: Bearer <accessToken>`. Errors are RFC 9457 problem documents
with a stable `code`. POSTs that create or move something take an `Idempotency-Key`. Live events come over the
WebSocket `/api/v1/realtime` (subprotocol `clutch.v1`).
"""


def create_app(settings: Settings | None = None) -> Litestar:
    """The service; its processes' lives begin and end with the app's lifespan."""
    settings = settings or Settings.from_env()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_core(settings) as core, _open_services(app, core):
            yield

    app = Litestar(
        route_handlers=[_api(), *operations.ROOT_ROUTES],
        lifespan=[lifespan],
        exception_handlers={
            MatcherError: handle_exception,
            HTTPException: handle_exception,
            Exception: handle_exception,
        },
        after_exception=[security_routes.note_refusal],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=_openapi(),
        plugins=[DocumentedProblems()],
        state=State({"settings": settings}),
        logging_config=None,
    )
    # Around everything, not as Litestar's middleware: that never sees an unknown path.
    admission = Admission(app.asgi_handler, settings, exempt=UNBOUNDED)
    app.asgi_handler = RequestContext(admission, TrustedProxies(settings.trusted_proxies))
    return app


def _api() -> Router:
    api = Router(
        "/",
        route_handlers=[
            *operations.API_ROUTES,
            *account_routes.ROUTES,
            *security_routes.ROUTES,
            *shop_routes.ROUTES,
            *order_routes.ROUTES,
            *quote_routes.ROUTES,
            *notification_routes.ROUTES,
        ],
        guards=[limit_address, guard, limit_account],
        dto=WireDTO,
        return_dto=None,
        dependencies={
            "caller": Provide(provide_caller, sync_to_thread=False),
            "call": Provide(provide_call),
        }
        | {name: _service(name) for name in SERVICES},
    )
    return Router(API, route_handlers=[api, *realtime_routes.ROUTES])


def _service(name: str) -> Provide:
    def provide(state: State) -> Any:
        return getattr(state, name)

    return Provide(provide, sync_to_thread=False)


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Clutch matcher",
        version="1",
        description=DESCRIPTION,
        path="/schema",
        render_plugins=[operations.api_page()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
            }
        ),
        security=[{"bearer": []}],
        use_handler_docstrings=True,
    )


@asynccontextmanager
async def _open_services(app: Litestar, core: Core) -> AsyncIterator[None]:
    settings, transactions, state = core.settings, core.transactions, app.state
    async with AsyncExitStack() as stack:
        tokens, passwords = TokenSigner(settings), Passwords(settings.argon2_threads)
        stack.callback(passwords.close)
        identities = IdentityCache(core.pool, settings, tokens)
        await identities.start()
        submissions = await stack.enter_async_context(SubmissionQueue(core.pool, core.publisher, settings))
        state.core = core
        state.audit = audit = await stack.enter_async_context(_auditing(core))
        state.limits = Limits(settings, on_trip=_noting(audit))
        state.identities = identities
        state.accounts = AccountService(transactions, settings, tokens, passwords, identities)
        state.shops = ShopService(transactions, core.directory)
        state.onboarding = OnboardingService(transactions, state.accounts)
        state.uploads = UploadService(transactions)
        state.orders = OrderService(
            transactions, submissions, core.planner, core.directory, state.uploads, settings
        )
        state.changes = OrderChanges(transactions, settings)
        state.quotes = QuoteService(
            transactions,
            settings,
            shop_name=_quoting_shop(core.directory),
            contact_of=find_contact,
            uploads=state.uploads,
        )
        state.photos = PhotoService(core.pool, state.uploads)
        state.notifications = NotificationService(transactions)
        state.reach = ReachService(transactions, settings, web_push_key(settings))
        state.socket_requests = SocketRequests(state.quotes, state.changes, state.limits)
        hub = Hub(core.log, buffer_bytes=settings.log_buffer_bytes)
        state.realtime = RealtimeService(
            hub, SocketIdentities(identities), SocketSnapshots(core.pool), state.socket_requests, settings
        )
        core.directory.on_change(lambda shop: _close_sockets_of(shop, state.realtime))
        await stack.enter_async_context(_collecting_acks(core, state.realtime))
        await stack.enter_async_context(_following(identities, hub, state.realtime))
        yield


@asynccontextmanager
async def _auditing(core: Core) -> AsyncIterator[AuditTrail]:
    audit = AuditTrail(core.pool)
    async with running(audit.run()):
        yield audit
    await audit.flush()


def _noting(audit: AuditTrail) -> Callable[[Limit, UUID | None], None]:
    return lambda limit, account_id: audit.note(Kind.RATE_LIMITED, account_id, {"limit": limit})


@asynccontextmanager
async def _following(identities: IdentityCache, hub: Hub, realtime: RealtimeService) -> AsyncIterator[None]:
    """Changed accounts reach open sockets: each is asked again who it speaks for."""
    identities.on_change.append(realtime.recheck_user)
    async with running(identities.run(), realtime.run()):
        await hub.wait_ready(5.0)
        yield
        await realtime.shutdown()


@asynccontextmanager
async def _collecting_acks(core: Core, realtime: RealtimeService) -> AsyncIterator[None]:
    """What sockets acknowledge reaches the worker, which then pushes nothing for it."""
    async with create_redis(core.redis_url) as redis:
        acks = AckBook(redis, core.settings.redis_prefix, secrets.token_hex(4))
        realtime.on_ack.append(acks.on_ack)
        async with running(acks.run()):
            yield
        await acks.flush()


def _close_sockets_of(shop: ShopSummary, realtime: RealtimeService) -> None:
    if shop.status != "active":
        realtime.close_shop(shop.id)


def _quoting_shop(directory: ShopDirectory) -> Callable[[Connection, UUID], Awaitable[str | None]]:
    async def name_of(_: Connection, shop_id: UUID) -> str | None:
        shop = directory.get(shop_id)
        return shop.name if shop is not None and shop.status == "active" else None

    return name_of
