"""What the documents say about the service, read from its code: problems, roles, error codes.

Owns: the OpenAPI document's problem responses and the generated pages of docs/reference. Must not be asked
by a request.
"""

import inspect
import pkgutil
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from importlib import import_module
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Operation, Parameter, Schema
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

import matcher
from matcher.accounts.access import SHOP_ROLES, Access, Caller, check_access
from matcher.errors import MatcherError, all_errors
from matcher.http import MAX_IDEMPOTENCY_KEY_CHARS, PROBLEM_JSON

# Headers of the contract: their form, and what they do.
HEADERS = {
    "Idempotency-Key": (
        Schema(type=OpenAPIType.STRING, min_length=1, max_length=MAX_IDEMPOTENCY_KEY_CHARS),
        "Repeats answer what the first request with this key was answered, for 24 hours.",
    ),
    "If-Match": (
        Schema(type=OpenAPIType.STRING, examples=['"3"']),
        'The version that the caller saw, as `"3"`: 409 `version_conflict` if there is a newer one.',
    ),
    "X-Shop-Id": (
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
        "The shop that the caller acts for; needed by who works for several.",
    ),
}
SHOP_RULES = frozenset({Access.SHOP_STAFF, Access.SHOP_QUOTING, Access.SHOP_MANAGING, Access.SHOP_OWNER})
ROLES = ("anonymous", "customer", "shop_owner", "manager", "cashier", "stock_clerk", "accountant", "admin")


class ProblemField(msgspec.Struct):
    """One bad field: a JSON pointer into the request body, and what is wrong there."""

    pointer: str
    message: str


class Problem(msgspec.Struct):
    """An RFC 9457 problem document. `code` is stable and listed in docs/reference/error-codes.md."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None
    errors: list[ProblemField]


class DocumentedProblems(ReceiveRoutePlugin):
    """Gives each route's OpenAPI description its refusals and headers, and marks those that need no sign-in."""

    def receive_route(self, route: BaseRoute) -> None:
        """Called for each route as the app is made."""
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            access = handler.opt.get("access")
            if access is not None:
                handler.responses = problem_responses(access, handler.http_methods) | dict(
                    handler.responses or {}
                )
                # An empty requirement: nothing is asked for (OpenAPI 3.1, Operation Object, security).
                handler.security = [{}] if access is Access.PUBLIC else None
                handler.operation_class = _with_headers(
                    handler.operation_class, request_headers(access, handler.fn, route.path_parameters)
                )


def request_headers(access: Access, handler: Any, path_parameters: Collection[str]) -> list[Parameter]:
    """The headers that a handler reads besides `Authorization`, found in its code so that none is forgotten."""
    code = handler.__code__
    names = []
    if "call" in code.co_varnames[: code.co_argcount]:
        names.append("Idempotency-Key")
    if "expected_version" in code.co_names:
        names.append("If-Match")
    if access in SHOP_RULES and "shop_id" not in path_parameters:
        names.append("X-Shop-Id")
    return [Parameter(name, "header", HEADERS[name][0], description=HEADERS[name][1]) for name in names]


def _with_headers(operation_class: type[Operation], headers: list[Parameter]) -> Any:
    def describe(*, parameters: list[Parameter] | None, **fields: Any) -> Operation:
        return operation_class(parameters=[*(parameters or ()), *headers] or None, **fields)

    return describe


def problem_responses(access: Access, methods: set[Any]) -> dict[int, ResponseSpec]:
    """The refusals that any route of this rule and method may answer with."""
    statuses = [400, 404, 429, 503]
    if access is not Access.PUBLIC:
        statuses += [401, 403]
    if methods - {"GET", "HEAD"}:
        statuses += [409, 413, 415, 422]
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=PROBLEM_JSON,
        )
        for status in sorted(statuses)
    }


def http_rules(app: Litestar) -> dict[str, Access | None]:
    """`"GET /path"` -> the route's rule, for every HTTP route but those of the API page."""
    return {
        f"{method} {route.path_format}": handler.opt.get("access")
        for route in app.routes
        if isinstance(route, HTTPRoute) and not f"{route.path_format}/".startswith("/schema/")
        for handler in route.route_handlers
        for method in sorted(handler.http_methods - {"OPTIONS"})
    }


def outcome(access: Access, role: str) -> str:
    """What a rule answers to a role, for its own shop and objects: "yes", or the status of the refusal."""
    try:
        check_access(access, _caller(role))
    except MatcherError as error:
        return str(error.status)
    return "yes"


def _caller(role: str) -> Caller | None:
    if role == "anonymous":
        return None
    if role in SHOP_ROLES:
        shop_id = UUID(int=1)
        return Caller(user_id=UUID(int=2), role="shop_owner", shops={shop_id: role}, shop_id=shop_id)
    return Caller(user_id=UUID(int=2), role=role)


def pages(app: Litestar, socket_rules: Mapping[str, Access]) -> dict[str, str]:
    """The generated pages: file name in docs/reference -> content."""
    return {
        "error-codes.md": error_codes(),
        "role-matrix.md": role_matrix(http_rules(app), socket_rules),
    }


def role_matrix(rules: Mapping[str, Access | None], socket_rules: Mapping[str, Access]) -> str:
    """docs/reference/role-matrix.md."""
    lines = [
        "# Who may call what",
        "",
        "Generated from the routes by `scripts/generate-docs`; do not edit.",
        "",
        "`yes`: the role may do this for its own shop and objects. Objects of others answer 404; only admins may read",
        "every order and file. A path that names a shop answers 404 to who does not work there. Roles hold in one shop",
        "each; outside it, everybody is a customer.",
        "",
        "## HTTP",
        "",
        *_table(rules),
        "",
        "## Requests over the WebSocket",
        "",
        *_table(socket_rules),
    ]
    return "\n".join(lines) + "\n"


def _table(rules: Mapping[str, Access | None]) -> Iterator[str]:
    yield f"| call | {' | '.join(ROLES)} |"
    yield "|---" * (len(ROLES) + 1) + "|"
    for call, access in sorted(rules.items(), key=lambda item: item[0].split()[::-1]):
        assert access is not None, f"{call} has no access rule"
        yield f"| `{call}` | {' | '.join(outcome(access, role) for role in ROLES)} |"


def error_codes() -> str:
    """docs/reference/error-codes.md."""
    errors = sorted(coded_errors(), key=lambda error: error.code)
    # A request never ends with them: they are what commands fail with.
    commands = [error for error in errors if error.status == 500 and error is not MatcherError]
    lines = [
        "# Error codes",
        "",
        "Generated from the code by `scripts/generate-docs`; do not edit.",
        "",
        "`code` is what a client may rely on; `detail` may say more than the meaning below.",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
        *(
            f"| `{error.code}` | {error.status} | {_meaning(error)} |"
            for error in errors
            if error not in commands
        ),
        "",
        "## Of the command line",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| `{error.code}` | {_meaning(error)} |" for error in commands),
    ]
    return "\n".join(lines) + "\n"


def _meaning(error: type[MatcherError]) -> str:
    return " ".join(inspect.cleandoc(error.__doc__ or "").split()).replace("|", "\\|")


def coded_errors() -> list[type[MatcherError]]:
    """Every error with a code of its own, whatever has been imported so far."""
    for module in pkgutil.walk_packages(matcher.__path__, "matcher."):
        import_module(module.name)
    return [MatcherError, *{error for error in all_errors() if "code" in vars(error)}]
