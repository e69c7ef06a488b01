"""The OpenAPI document: the contract's paths are in it, and each operation says what it answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from matcher.app import create_app
from matcher.serve import openapi_document
from matcher.settings import Settings

Document = dict[str, Any]

# CONTRACT 2 to 6 and 10, as far as it is built.
CONTRACT = """
POST /api/v1/auth/register
POST /api/v1/auth/login
POST /api/v1/auth/refresh
POST /api/v1/auth/logout
GET PATCH DELETE /api/v1/auth/me
POST /api/v1/auth/password/change
GET POST /api/v1/shops/{shop_id}/staff
DELETE /api/v1/shops/{shop_id}/staff/{user_id}
POST /api/v1/shop-onboarding/start
PUT /api/v1/shop-onboarding/{onboarding_id}/step/{step}
GET /api/v1/shop-onboarding/{onboarding_id}
POST /api/v1/shop-onboarding/{onboarding_id}/complete
POST /api/v1/uploads
GET /api/v1/admin/shops
POST /api/v1/admin/shops/{shop_id}/verify
POST /api/v1/admin/shops/{shop_id}/reject
POST /api/v1/admin/shops/{shop_id}/suspend
POST /api/v1/admin/shops/{shop_id}/reactivate
GET PATCH /api/v1/shops/{shop_id}
GET /api/v1/shops/{shop_id}/profile
GET /api/v1/shops/near
GET /api/v1/vehicle-makes
POST /api/v1/auto-parts-orders
GET /api/v1/auto-parts-orders/user/{user_id}
GET PUT /api/v1/auto-parts-orders/{order_id}
POST /api/v1/auto-parts-orders/{order_id}/submit
POST /api/v1/auto-parts-orders/{order_id}/cancel
POST /api/v1/auto-parts-orders/{order_id}/extend
POST /api/v1/auto-parts-orders/{order_id}/accept-quote
POST /api/v1/auto-parts-orders/{order_id}/status
GET /api/v1/auto-parts-orders/{order_id}/dispatches
POST /api/v1/shop-quotes/provide-quote
GET /api/v1/shop-quotes/shop-quotes
PUT DELETE /api/v1/shop-quotes/{quote_id}
GET /api/v1/shop-quotes/inbox
POST /api/v1/shop-quotes/decline
POST /api/v1/shop-quotes/seen
GET /api/v1/notifications
PUT /api/v1/notifications/{notification_id}/read
POST /api/v1/notifications/send
POST /api/v1/notifications/devices
DELETE /api/v1/notifications/devices/{device_id}
GET PUT /api/v1/notifications/preferences
GET /api/v1/health
GET /api/v1/ready
"""
# Of the contract, and to come: with mail (2), with the shop's own business (8) and its sync (9).
LATER = """
POST /api/v1/auth/password/forgot
POST /api/v1/auth/password/reset
POST /api/v1/auth/verify-email
"""
LATER_PREFIXES = (
    "/api/v1/inventory",
    "/api/v1/purchase-orders",
    "/api/v1/sales",
    "/api/v1/customers",
    "/api/v1/sync",
)
# Beside the contract.
FURTHER = """
GET /api/v1/notifications/devices
GET /api/v1/notifications/web-push-key
GET /api/v1/admin/notification-dead-letters
GET /api/v1/admin/security-events
POST /api/v1/admin/notification-dead-letters/{delivery_id}/retry
GET /api/v1/uploads/{upload_id}
GET /api/v1/auto-parts-orders/{order_id}/photos/{photo_id}
"""
PUBLIC = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "GET /api/v1/shops/{shop_id}/profile",
    "GET /api/v1/shops/near",
    "GET /api/v1/vehicle-makes",
    "GET /api/v1/health",
    "GET /api/v1/ready",
}


def calls(listed: str) -> set[str]:
    return {
        f"{method} {line.split()[-1]}" for line in listed.split("\n") if line for method in line.split()[:-1]
    }


@pytest.fixture(scope="module")
def document() -> Document:
    """What /schema/openapi.json and `matcher openapi` show."""
    shown: Document = json.loads(openapi_document(create_app(Settings())))
    return shown


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_holds_the_contracts_calls_and_no_unknown_ones(document: Document) -> None:
    shown = {call for call, _ in operations(document)}
    assert calls(CONTRACT) - shown == set(), "the contract promises them"
    assert shown - calls(CONTRACT) - calls(FURTHER) == set(), "name them in the contract first"
    assert not shown & calls(LATER), "they have come: move them to CONTRACT"
    assert not [call for call in shown if call.split()[1].startswith(LATER_PREFIXES)]


def test_the_document_is_openapi_3_1_and_refers_to_what_it_holds(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    for reference in set(_references(document)):
        target: Any = document
        for name in reference.removeprefix("#/").split("/"):
            target = target[name.replace("~1", "/").replace("~0", "~")]
        assert target
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_each_operation_is_described_and_tells_its_refusals(document: Document) -> None:
    for call, operation in operations(document):
        assert operation["summary"], call
        assert len(operation["description"]) > 10, call
        assert operation["tags"], call
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"400", "429", "503"} <= refusals.keys(), call
        for answer in refusals.values():
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, call
        assert [status for status in operation["responses"] if status < "400"], call


def test_each_operation_but_the_public_ones_asks_for_a_token(document: Document) -> None:
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    public = {call for call, operation in operations(document) if operation.get("security") == [{}]}
    assert public == PUBLIC
    for call, operation in operations(document):
        assert ("401" in operation["responses"]) is (call not in PUBLIC), call


def test_parameters_and_bodies_are_described(document: Document) -> None:
    for call, operation in operations(document):
        in_path = {name[1:-1] for name in call.split("/") if name.startswith("{")}
        given = operation.get("parameters", [])
        assert {item["name"] for item in given if item["in"] == "path"} == in_path, call
        assert all("schema" in item for item in given), call
    order = document["paths"]["/api/v1/auto-parts-orders"]["post"]["requestBody"]
    schema = document["components"]["schemas"][
        order["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
    ]
    assert {"vehicle", "deliveryLocation", "parts"} == set(schema["required"])
    assert schema["properties"]["parts"]["maxItems"] == 100


def test_the_contracts_headers_are_described_where_they_are_read(document: Document) -> None:
    headers = {
        call: {item["name"] for item in operation.get("parameters", []) if item["in"] == "header"}
        for call, operation in operations(document)
    }
    assert headers["POST /api/v1/auto-parts-orders"] == {"Idempotency-Key"}
    assert headers["POST /api/v1/shop-quotes/provide-quote"] == {"Idempotency-Key", "X-Shop-Id"}
    assert headers["DELETE /api/v1/shop-quotes/{quote_id}"] == {"If-Match", "X-Shop-Id"}
    assert headers["PATCH /api/v1/shops/{shop_id}"] == {"If-Match"}
    assert headers["POST /api/v1/auth/login"] == set()


def test_states_and_an_orders_quotes_are_described(document: Document) -> None:
    schemas = document["components"]["schemas"]
    order = schemas["OrderView"]["properties"]
    assert order["quotes"]["items"] == {"$ref": "#/components/schemas/QuoteView"}
    assert "quoted" in schemas[order["status"]["$ref"].split("/")[-1]]["enum"]
    reason = str(schemas["DispatchView"]["properties"]["closedReason"])
    assert "ClosedReason" in reason
    assert "accepted_elsewhere" in schemas["ClosedReason"]["enum"]


def test_the_command_prints_the_document(document: Document) -> None:
    script = "from matcher.cli import main; main(['openapi'])"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout) == document


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
