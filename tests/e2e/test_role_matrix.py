"""Every route and socket method, called by every role for its own and for foreign objects."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from matcher.app import create_app
from matcher.reference import http_rules
from matcher.settings import Settings
from matcher.sockets import RULES
from tests.e2e.api import PASSWORD, Account, Api, Json, Town, edit_body, order_body, quote_body
from tests.e2e.processes import Child, Service
from tests.e2e.sockets import open_socket
from tests.e2e.world import World, build_world

ROLES = ("anonymous", "customer", "shop_owner", "manager", "cashier", "stock_clerk", "accountant", "admin")
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64)

# What each of ROLES is answered, in their order: the status of a refusal, or "ok" for being let in (also when the
# request itself cannot be done, such as verifying a shop that is verified: 409).
ANYBODY = "ok  ok  ok  ok  ok  ok  ok  ok"
SIGNED = " 401 ok  ok  ok  ok  ok  ok  ok"
BUYERS = " 401 ok  ok  ok  ok  ok  ok  403"
ADMINS = " 401 403 403 403 403 403 403 ok"
STAFF = "  401 403 ok  ok  ok  ok  ok  403"
QUOTERS = "401 403 ok  ok  ok  403 403 403"
THEIRS = (
    " 401 404 ok  ok  ok  ok  ok  404"  # a path that names the shop: strangers do not learn that it exists
)
MANAGED = "401 404 ok  ok  403 403 403 404"
NOBODY = " 401 404 404 404 404 404 404 404"
READER = " 401 404 404 404 404 404 404 ok"  # admins read what is foreign
BOUGHT = " 401 ok  404 404 404 404 404 403"
NOBUYER = "401 404 404 404 404 404 404 403"
UNQUOTED = "401 403 404 404 404 403 403 403"


@dataclass
class Row:
    """`own` and `foreign`: the answers; `path` names the objects that `own_objects` and `foreign_objects` hold."""

    own: str
    foreign: str | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    order: str = "open"  # which of the customer's orders: open and quoted, or on its way


WRONG_PASSWORD = {"currentPassword": "not this one", "newPassword": "another one, long"}
STALE = {"If-Match": '"999"'}
ANYWHERE = "?latitude=0&longitude=0&make=Toyota"
SHOP, ORDER, STAFF_PATH = "/shops/{shop_id}", "/auto-parts-orders/{order_id}", "/shops/{shop_id}/staff"
ONBOARDING = "/shop-onboarding/{onboarding_id}"

HTTP = {
    "GET /health": Row(ANYBODY),
    "GET /ready": Row(ANYBODY),
    "POST /auth/register": Row(ANYBODY, body={}),
    "POST /auth/login": Row(ANYBODY, body={}),
    "POST /auth/refresh": Row(ANYBODY, body={}),
    "GET /auth/me": Row(SIGNED),
    "PATCH /auth/me": Row(SIGNED, body={}),
    "POST /auth/logout": Row(SIGNED, body={"everywhere": "no boolean"}),
    "POST /auth/password/change": Row(SIGNED, body=WRONG_PASSWORD),
    "GET " + STAFF_PATH: Row(MANAGED, NOBODY),
    "POST " + STAFF_PATH: Row(MANAGED, NOBODY, body={}),
    "DELETE " + STAFF_PATH + "/{user_id}": Row(MANAGED, NOBODY),
    "POST /shop-onboarding/start": Row(BUYERS, body={"unknown": 1}),
    "GET " + ONBOARDING: Row(BUYERS, NOBUYER),
    "PUT " + ONBOARDING + "/step/{step}": Row(BUYERS, NOBUYER, body={"mode": "manual"}),
    "POST " + ONBOARDING + "/complete": Row(BUYERS, NOBUYER),
    "POST /uploads": Row(SIGNED, body={}),
    "GET /uploads/{upload_id}": Row(SIGNED, READER),
    "GET /admin/shops": Row(ADMINS),
    "POST /admin/shops/{shop_id}/verify": Row(ADMINS),
    "POST /admin/shops/{shop_id}/reject": Row(ADMINS, body={"reason": "no"}),
    "POST /admin/shops/{shop_id}/suspend": Row(ADMINS, body={}),
    "POST /admin/shops/{shop_id}/reactivate": Row(ADMINS),
    "GET " + SHOP: Row(THEIRS, NOBODY),
    "PATCH " + SHOP: Row(MANAGED, NOBODY, body={}),
    "GET " + SHOP + "/profile": Row(ANYBODY, ANYBODY),
    "GET /shops/near": Row(ANYBODY, query=ANYWHERE),
    "GET /vehicle-makes": Row(ANYBODY),
    "POST /auto-parts-orders": Row(BUYERS, body={}),
    "GET /auto-parts-orders/user/{user_id}": Row(SIGNED, READER),
    "GET " + ORDER: Row(SIGNED, READER),
    "PUT " + ORDER: Row(BOUGHT, NOBUYER, body={"urgency": "low"}),
    "POST " + ORDER + "/submit": Row(BOUGHT, NOBUYER),
    "POST " + ORDER + "/cancel": Row("401 ok ok ok ok 403 403 404", NOBODY, body={}, order="shipped"),
    "POST " + ORDER + "/extend": Row(BOUGHT, NOBUYER, body={"minutes": 1440}),
    "POST " + ORDER + "/status": Row(
        "401 404 ok ok ok 403 403 404", NOBODY, body={"status": "shipped"}, order="shipped"
    ),
    "GET " + ORDER + "/photos/{photo_id}": Row(SIGNED, READER, order="shipped"),
    "GET " + ORDER + "/dispatches": Row("401 ok 404 404 404 404 404 ok", READER),
    "POST " + ORDER + "/accept-quote": Row(BOUGHT, NOBUYER, body="accept"),
    "POST /shop-quotes/provide-quote": Row(QUOTERS, UNQUOTED, body="quote"),
    "PUT /shop-quotes/{quote_id}": Row(QUOTERS, UNQUOTED, body="edit"),
    "DELETE /shop-quotes/{quote_id}": Row(QUOTERS, UNQUOTED, headers=STALE),
    "GET /shop-quotes/shop-quotes": Row(STAFF),
    "GET /shop-quotes/inbox": Row(STAFF),
    "POST /shop-quotes/decline": Row(QUOTERS, UNQUOTED, body="decline"),
    "POST /shop-quotes/seen": Row(STAFF, "401 403 404 404 404 404 404 403", body="seen"),
    "GET /notifications": Row(SIGNED),
    "PUT /notifications/{notification_id}/read": Row(SIGNED, NOBODY),
    "POST /notifications/send": Row(ADMINS, body={}),
    "GET /notifications/devices": Row(SIGNED),
    "POST /notifications/devices": Row(SIGNED, body={}),
    "DELETE /notifications/devices/{device_id}": Row(SIGNED, NOBODY),
    "GET /notifications/web-push-key": Row(SIGNED),
    "GET /notifications/preferences": Row(SIGNED),
    "PUT /notifications/preferences": Row(SIGNED, body={"types": 1}),
    "GET /admin/notification-dead-letters": Row(ADMINS),
    "GET /admin/security-events": Row(ADMINS),
    "POST /admin/notification-dead-letters/{delivery_id}/retry": Row(" 401 403 403 403 403 403 403 404"),
    # Last: who calls it is gone afterwards.
    "DELETE /auth/me": Row(SIGNED),
}
OUTSIDE_API = {"GET /metrics", "GET /schema-assets/{name}"}

SOCKET = {
    "provide-quote": Row(QUOTERS, UNQUOTED, body="quote"),
    "update-quote": Row(QUOTERS, UNQUOTED, body="edit"),
    "withdraw-quote": Row(QUOTERS, UNQUOTED, body="withdraw"),
    "decline-order": Row(QUOTERS, UNQUOTED, body="decline"),
    "mark-seen": Row(STAFF, "401 403 404 404 404 404 404 403", body="seen"),
    "accept-quote": Row(BOUGHT, NOBUYER, body="accept"),
    "cancel-order": Row("401 ok ok ok ok 403 403 404", NOBODY, body="cancel", order="shipped"),
}


@dataclass
class Side:
    """The objects of one side: our own, or the strangers'."""

    open_order: Json
    shipped_order: Json
    quote: Json
    objects: dict[str, dict[str, str]]  # role -> path parameter -> id

    def path(self, call: str, role: str, row: Row) -> tuple[str, str]:
        """Method and path for a role."""
        order = self.open_order if row.order == "open" else self.shipped_order
        ids = {
            "order_id": order["id"],
            "quote_id": self.quote["id"],
            "step": "4",
        } | self.objects[role]
        method, _, template = call.partition(" ")
        return method, template.format(**ids) + row.query

    def body(self, name: Any, row: Row) -> Any:
        """A body by its name; others are sent as they stand."""
        order = self.open_order if row.order == "open" else self.shipped_order
        quote_id = self.quote["id"]
        named = {
            "quote": quote_body(order),
            # Understood, and refused once it is known whose it is: nothing changes.
            "edit": edit_body(order, "45.00") | {"currency": "EUR"},
            "withdraw": {"quoteId": quote_id},
            "decline": {"orderId": order["id"], "reason": "no"},
            "seen": {"orderId": order["id"]},
            "accept": {"quoteId": quote_id, "quoteVersion": 99},
            "cancel": {"orderId": order["id"]},
        }
        return named[name] if isinstance(name, str) else name


@dataclass
class Stage:
    """Everybody and everything that the matrix needs."""

    people: dict[str, Account | None]
    leavers: dict[str, Account | None]  # who may be deleted
    own: Side
    foreign: Side


@pytest.fixture(scope="module")
def stage(service: Service, process_a: Child) -> Stage:
    made = service.run("users", "create-admin", "--email", "leaver@example.test", admin_password=PASSWORD)
    assert made.returncode == 0, made.stderr
    return asyncio.run(_set_stage(process_a.url))


async def _set_stage(url: str) -> Stage:
    world = await build_world(url)
    api = Api(url)
    async with api.http:
        people = {"anonymous": None, "customer": world.customer, "shop_owner": world.owner}
        people |= dict(world.staff) | {"admin": world.admin}
        leavers = {role: await _leaver(api, world, role) for role in ROLES}
        own = await _side(api, world, people, world.customer, world.owner, world.order, world.quote)
        strangers = dict.fromkeys(ROLES, world.stranger) | {"shop_owner": world.rival}
        foreign = await _side(
            api, world, strangers, world.stranger, world.rival, world.rival_order, world.rival_quote
        )
        return Stage(people, leavers, own, foreign)


async def _leaver(api: Api, world: World, role: str) -> Account | None:
    if role == "anonymous":
        return None
    if role == "admin":
        return await api.login("leaver@example.test")
    account = await api.register()
    if role != "customer":
        hired = {"email": account.email, "role": role}
        await api.do("POST", f"/shops/{world.owner.shop_id}/staff", hired, world.owner)
    return account


async def _side(
    api: Api,
    world: World,
    people: Mapping[str, Account | None],
    customer: Account,
    shop: Account,
    order: Json,
    quote: Json,
) -> Side:
    place = order["deliveryLocation"]
    town = Town(latitude=place["latitude"], longitude=place["longitude"])
    files = {"file": ("photo.png", PNG, "image/png")}
    photo = await api.do("POST", "/uploads", None, customer, files=files)
    pictured = order_body(town, parts=1)
    pictured["parts"][0]["photoIds"] = [photo["id"]]
    shipped = await api.do("POST", "/auto-parts-orders", pictured, customer)
    won = await api.do("POST", "/shop-quotes/provide-quote", quote_body(shipped), shop)
    accept = {"quoteId": won["id"], "quoteVersion": won["version"]}
    await api.do("POST", f"/auto-parts-orders/{shipped['id']}/accept-quote", accept, customer)
    for status in ("processing", "shipped"):
        await api.do("POST", f"/auto-parts-orders/{shipped['id']}/status", {"status": status}, shop)
    objects = {role: await _objects(api, world, person, shop) for role, person in people.items()}
    for ids in objects.values():
        ids["photo_id"] = photo["id"]
    return Side(order, shipped, quote, objects)


async def _objects(api: Api, world: World, person: Account | None, shop: Account) -> dict[str, str]:
    nobody = str(uuid4())
    names = ("user_id", "notification_id", "upload_id", "onboarding_id", "device_id", "delivery_id")
    ids = dict.fromkeys(names, nobody)
    ids["shop_id"] = shop.shop_id
    if person is None:
        return ids
    files = {"file": ("photo.png", PNG, "image/png")}
    ids["upload_id"] = (await api.do("POST", "/uploads", None, person, files=files))["id"]
    told = {"userIds": [person.user_id], "type": "note", "title": "Note", "message": "Read me"}
    await api.do("POST", "/notifications/send", told, world.admin)
    ids["notification_id"] = (await api.do("GET", "/notifications", who=person))["items"][0]["id"]
    device = {"platform": "fcm", "token": f"token-{person.user_id}"}
    ids["device_id"] = (await api.do("POST", "/notifications/devices", device, person))["id"]
    ids["user_id"] = person.user_id
    if person is not world.admin:
        ids["onboarding_id"] = (await api.do("POST", "/shop-onboarding/start", {}, person))["id"]
    return ids


async def ask(api: Api, stage: Stage, side: Side, call: str, role: str, row: Row) -> str:
    """What a role is answered: "ok", or the status of its refusal."""
    leaving = call in {"DELETE /auth/me", "DELETE /shops/{shop_id}/staff/{user_id}"}
    person = (stage.leavers if call == "DELETE /auth/me" else stage.people)[role]
    method, path = side.path(call, role, row)
    if leaving and "staff" in call:
        # Somebody who does work there, so that being let in and finding nobody differ.
        leaver = stage.leavers["cashier" if role == "manager" else "accountant"]
        assert leaver is not None
        path = f"{path.rpartition('/')[0]}/{leaver.user_id}"
    response = await api.call(method, path, side.body(row.body, row), person, headers=row.headers)
    assert response.status_code < 500, response.text
    code = response.json()["code"] if response.status_code >= 400 else ""
    refused = code in {"unauthorized", "forbidden", "not_found"}
    return str(response.status_code) if refused else "ok"


@pytest.fixture
async def api(process_a: Child) -> AsyncIterator[Api]:
    api = Api(process_a.url)
    async with api.http:
        yield api


def test_the_tables_name_every_route_and_method() -> None:
    routes = {call.replace(" /api/v1", " ") for call in http_rules(create_app(Settings()))}
    assert routes - OUTSIDE_API == HTTP.keys()
    assert RULES.keys() == SOCKET.keys()


@pytest.mark.parametrize("call", HTTP)
async def test_each_role_is_answered_as_the_table_says(api: Api, stage: Stage, call: str) -> None:
    row = HTTP[call]
    given = [await ask(api, stage, stage.own, call, role, row) for role in ROLES]
    assert given == row.own.split()


@pytest.mark.parametrize("call", [call for call, row in HTTP.items() if row.foreign])
async def test_foreign_objects_are_hidden_as_the_table_says(api: Api, stage: Stage, call: str) -> None:
    row = HTTP[call]
    given = [await ask(api, stage, stage.foreign, call, role, row) for role in ROLES]
    assert given == str(row.foreign).split()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "anonymous"])
async def test_requests_over_a_socket_follow_the_table(api: Api, stage: Stage, role: str) -> None:
    person, at = stage.people[role], ROLES.index(role)
    assert person is not None
    async with open_socket(api, person, shop=bool(person.shop_id)) as socket:
        for method, row in SOCKET.items():
            for side, expected in ((stage.own, row.own), (stage.foreign, row.foreign)):
                data = side.body(row.body, row)
                if method == "withdraw-quote" and side is stage.own:
                    continue  # it would be done; over HTTP a stale version stops it
                if method == "update-quote":
                    data |= {"quoteId": side.quote["id"]}
                if method == "accept-quote":
                    data |= {"orderId": side.open_order["id"]}
                status, reply = await socket.request(method, data)
                refused = status >= 400 and reply["code"] in {"forbidden", "not_found"}
                given = str(status) if refused else "ok"
                assert given == str(expected).split()[at], f"{method}: {reply}"
