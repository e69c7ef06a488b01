"""HTTP as the whole service speaks it: strict bodies, problem documents, request ids, replies.

Owns the translation between Litestar and `MatcherError`/`Reply`. Must not know any domain.
"""

import secrets
import time
from collections.abc import Generator, Mapping
from typing import Any, Final, Protocol, TypeVar

import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO, DTOConfig
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotAuthorizedException, SerializationException
from litestar.openapi.spec import Reference, Schema
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.typing import FieldDefinition

from matcher import addresses, metrics
from matcher.addresses import TrustedProxies
from matcher.db import BUSY_ERRORS, CONNECTION_ERRORS, DatabaseUnavailable
from matcher.errors import (
    FieldError,
    InvalidRequest,
    MatcherError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from matcher.serialization import WireStruct, decode, encode
from matcher.transactions import Reply

PROBLEM_JSON: Final = "application/problem+json"
MAX_IDEMPOTENCY_KEY_CHARS = 255
MAX_REQUEST_ID_CHARS = 128

T = TypeVar("T")
log = structlog.get_logger()


class WireDTO(AbstractDTO[T]):
    """Decodes request bodies strictly (`serialization.decode`): no coercion, no unknown fields, no NUL.

    Litestar's own path converts leniently ("2" becomes 2) and words its errors without pointers.
    """

    config = DTOConfig()

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the handler's struct; InvalidRequest names the field."""
        require_json(self.asgi_connection)
        return decode(value, self.asgi_connection.route_handler.parsed_data_field.annotation)

    def decode_builtins(self, value: Any) -> Any:
        """Forms and the like are not taken here."""
        raise UnsupportedMediaType

    @classmethod
    def create_for_field_definition(cls, *args: Any, **kwargs: Any) -> None:
        """Nothing to generate: the struct itself is the transfer model."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """The struct's own schema."""
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        """Wire structs only."""
        return field_definition.is_subclass_of(WireStruct)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """None: the struct is decoded whole."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Never: see `generate_field_definitions`."""
        return False


def require_json(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """UnsupportedMediaType for a body that says it is something else, or is packed; saying nothing is fine."""
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/json") or connection.headers.get("content-encoding"):
        raise UnsupportedMediaType


def answer(reply: Reply, headers: dict[str, str] | None = None) -> Response[Any]:
    """A service's reply as an HTTP response."""
    return Response(
        reply.body,
        status_code=reply.status,
        media_type="application/json" if reply.status < 400 else PROBLEM_JSON,
        headers=(headers or {}) | ({"Idempotency-Replayed": "true"} if reply.replayed else {}),
    )


def json_response(value: Any, status: int = 200) -> Response[Any]:
    """A wire value as an HTTP response."""
    return Response(encode(value), status_code=status, media_type="application/json")


class _File(Protocol):
    @property
    def content_type(self) -> str: ...

    @property
    def content(self) -> bytes: ...


def file_response(file: _File) -> Response[bytes]:
    """What somebody uploaded; never shown inside our origin."""
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return Response(file.content, media_type=file.content_type, headers=headers)


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """The `Idempotency-Key` header, checked; None when absent."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MAX_IDEMPOTENCY_KEY_CHARS and key.isprintable()):
        raise InvalidRequest("Idempotency-Key must hold 1 to 255 printable characters.")
    return key


def expected_version(request: Request[Any, Any, Any]) -> int | None:
    """The version in `If-Match: "<version>"`; None when absent."""
    header = request.headers.get("if-match")
    if header is None:
        return None
    text = header.strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest('If-Match must name a version, for example If-Match: "3".')
    return int(text)


def problem_response(request: Request[Any, Any, Any], error: MatcherError) -> Response[Any]:
    """A MatcherError as `application/problem+json`."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and "allow" in error.extra:
        headers["Allow"] = error.extra.pop("allow")
    body = encode(error.problem(request_id(request.scope)))
    return Response(body, status_code=error.status, media_type=PROBLEM_JSON, headers=headers)


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Every failure of a request, in the contract's shape; a crash tells nothing of the inside."""
    translated = translate(error)
    if translated.status >= 500 and not isinstance(error, MatcherError):
        log.error("request_failed", error=repr(error), exc_info=error)
    return problem_response(request, translated)


def translate(error: Exception) -> MatcherError:
    """Litestar's and the drivers' exceptions as ours."""
    if isinstance(error, MatcherError):
        return error
    if isinstance(error, SerializationException):
        return InvalidRequest("The body is not valid JSON; send one UTF-8 JSON object.")
    if isinstance(error, NotAuthorizedException):
        return Unauthorized()
    if isinstance(error, HTTPException):
        return _translate_http(error)
    if isinstance(error, CONNECTION_ERRORS):
        return DatabaseUnavailable(retry_after_s=1)
    if isinstance(error, BUSY_ERRORS):
        return Overloaded(retry_after_s=1)
    return MatcherError(
        "Something went wrong on our side; the request id in `instance` finds it in our logs."
    )


def _translate_http(error: HTTPException) -> MatcherError:
    match error.status_code:
        case 404:
            return NotFound("There is no such path; /schema lists all of them.")
        case 405:
            allow = (error.headers or {}).get("Allow") or (error.headers or {}).get("allow", "")
            return MethodNotAllowed(extra={"allow": allow})
        case 413:
            return PayloadTooLarge()
        case 415:
            return UnsupportedMediaType()
        case status if status >= 500:
            return MatcherError(
                "Something went wrong on our side; the request id in `instance` finds it in our logs."
            )
        case _:
            return InvalidRequest(errors=_query_errors(error))


def _query_errors(error: HTTPException) -> list[FieldError]:
    # Litestar's ValidationException lists {"message", "key", "source"} for query and header parameters; the
    # source is an enum, whose text would be "ParamType.QUERY".
    items = [
        item for item in (error.extra if isinstance(error.extra, list) else []) if isinstance(item, dict)
    ]
    found = [
        FieldError(f"/{_source(item.get('source'))}/{item.get('key', '')}", str(item.get("message", "")))
        for item in items
    ]
    return found or [FieldError("", error.detail or "malformed request")]


def _source(source: Any) -> str:
    return str(getattr(source, "value", source))


def request_id(scope: Any) -> str:
    """The id of a request: the caller's `X-Request-Id`, or ours."""
    return str(scope.setdefault("state", {}).get("request_id", ""))


def add_headers(scope: Any, headers: Mapping[str, str]) -> None:
    """Headers for the answer to this request, whoever answers it; of the same name, the last counts."""
    scope.setdefault("state", {}).setdefault("headers", {}).update(headers)


class RequestContext:
    """ASGI middleware: client address, request id, one log line, request metrics.

    Pure ASGI, because it is on every request.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies | None = None) -> None:
        self.app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        self._find_client(scope)
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        identifier = _given_request_id(scope) or secrets.token_hex(12)
        scope.setdefault("state", {})["request_id"] = identifier
        started_s = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", identifier.encode("latin-1")),
                    *_added_headers(scope),
                ]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=identifier)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            elapsed_s = time.perf_counter() - started_s
            # `path_template` bounds the label: /auto-parts-orders/{order_id}, not a thousand ids.
            path = str(scope.get("path_template") or "unmatched")
            metrics.REQUESTS.labels(scope["method"], path, str(status)).inc()
            metrics.REQUEST_SECONDS.labels(scope["method"], path).observe(elapsed_s)
            log.debug(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(elapsed_s * 1000, 2),
            )
            structlog.contextvars.unbind_contextvars("request_id")

    def _find_client(self, scope: Any) -> None:
        """Everything after us sees the client's address, not that of a proxy of ours."""
        if scope.get("client") is None:
            return
        host, port = scope["client"]
        if self._proxies:
            hops = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            host = self._proxies.client_of(host, b",".join(hops).decode("latin-1"))
            scope["client"] = (host, port)
        addresses.CURRENT.set(host)


def _added_headers(scope: Any) -> list[tuple[bytes, bytes]]:
    headers: dict[str, str] = scope["state"].get("headers", {})
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def _given_request_id(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return (
                text
                if 0 < len(text) <= MAX_REQUEST_ID_CHARS and text.isascii() and text.isprintable()
                else None
            )
    return None
