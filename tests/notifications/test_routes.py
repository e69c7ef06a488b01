"""The HTTP of notifications over a real app: devices, preferences, dead letters."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from matcher.accounts.access import Caller, guard, provide_call, provide_caller
from matcher.errors import MatcherError, Unauthorized
from matcher.events import Event
from matcher.http import RequestContext, WireDTO, handle_exception
from matcher.ids import uuid7
from matcher.notifications.channel import Rejected
from matcher.notifications.reach import ReachService
from matcher.notifications.routes import ROUTES
from matcher.notifications.rules import Kind
from matcher.notifications.service import TOPIC, NotificationService, render_changes
from matcher.transactions import Publisher, Transactions
from tests.notifications.browser import Browser
from tests.notifications.news import order
from tests.notifications.world import CUSTOMER_ID, World

ADMIN_ID = uuid7()
PUBLIC_ADDRESS = "8.8.8.8"


class Identities:
    """A token is an account's id; one is the admin's."""

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        try:
            user_id = UUID(token)
        except ValueError as error:
            raise Unauthorized from error
        return Caller(user_id, "admin" if user_id == ADMIN_ID else "customer")


async def lookup(host: str, port: int) -> Sequence[str]:
    return {"push.example": [PUBLIC_ADDRESS], "inside.example": ["10.0.0.1"]}.get(host, [])


class Api:
    """A client that speaks for anybody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def call(
        self, method: str, path: str, who: UUID, body: Any = None, **headers: str
    ) -> httpx.Response:
        given = {"Authorization": f"Bearer {who}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.http.request(method, f"/api/v1{path}", json=body, headers=given)

    async def ok(self, method: str, path: str, who: UUID, body: Any = None, **headers: str) -> Any:
        response = await self.call(method, path, who, body, **headers)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    async def refused(
        self, method: str, path: str, who: UUID, body: Any = None, **headers: str
    ) -> tuple[int, str]:
        response = await self.call(method, path, who, body, **headers)
        assert response.headers["content-type"].startswith("application/problem+json"), response.text
        return response.status_code, response.json()["code"]


@pytest.fixture
def published() -> list[Event]:
    return []


@pytest.fixture
async def api(world: World, published: list[Event]) -> AsyncIterator[Api]:
    async def append(events: Sequence[Event]) -> None:
        published.extend(events)

    publisher = Publisher(world.pool, append, queue_max=100)
    transactions = Transactions(world.pool, publisher, {TOPIC: render_changes})
    notifications = NotificationService(transactions)
    reach = ReachService(transactions, world.settings, "the-public-key", lookup=lookup)
    app: Any = Litestar(
        [Router("/api/v1", route_handlers=ROUTES)],
        dependencies={
            "notifications": Provide(lambda: notifications, sync_to_thread=False),
            "reach": Provide(lambda: reach, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "call": Provide(provide_call),
        },
        guards=[guard],
        dto=WireDTO,
        return_dto=None,
        middleware=[RequestContext],
        state=State({"identities": Identities()}),
        exception_handlers={
            HTTPException: handle_exception,
            MatcherError: handle_exception,
            Exception: handle_exception,
        },
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield Api(http)
    await publisher.drain()


@pytest.fixture
async def me(world: World) -> UUID:
    return await world.person(CUSTOMER_ID)


def fcm(token: str) -> dict[str, str]:
    return {"platform": "fcm", "token": token}


def browser(endpoint: str = "https://push.example/1", **changes: Any) -> dict[str, Any]:
    return {"platform": "webpush", "subscription": Browser.new().subscription(endpoint) | changes}


async def test_a_device_is_registered_listed_and_removed(api: Api, me: UUID) -> None:
    made = await api.ok("POST", "/notifications/devices", me, fcm("token"))
    assert set(made) == {"id", "platform", "createdAt", "lastUsedAt"}, "its address stays with us"
    other = await api.ok("POST", "/notifications/devices", me, browser())
    assert (await api.ok("GET", "/notifications/devices", me))["items"] == [made, other]
    response = await api.call("DELETE", f"/notifications/devices/{made['id']}", me)
    assert (response.status_code, response.content) == (204, b"")
    assert (await api.ok("GET", "/notifications/devices", me))["items"] == [other]
    assert await api.refused("DELETE", f"/notifications/devices/{made['id']}", me) == (404, "not_found")


async def test_a_device_registered_again_is_the_same_and_used_now(world: World, api: Api, me: UUID) -> None:
    first = await api.ok("POST", "/notifications/devices", me, fcm("token"))
    world.forward(60)
    again = await api.ok("POST", "/notifications/devices", me, fcm("token"))
    assert (again["id"], again["createdAt"]) == (first["id"], first["createdAt"])
    assert again["lastUsedAt"] > first["lastUsedAt"]


async def test_an_installation_belongs_to_who_signed_in_last(world: World, api: Api, me: UUID) -> None:
    mine = await api.ok("POST", "/notifications/devices", me, fcm("token"))
    other = await world.person()
    theirs = await api.ok("POST", "/notifications/devices", other, fcm("token"))
    assert (await api.ok("GET", "/notifications/devices", me))["items"] == []
    assert theirs["id"] != mine["id"]
    assert await api.refused("DELETE", f"/notifications/devices/{theirs['id']}", me) == (404, "not_found")


async def test_the_twenty_first_device_replaces_the_one_unused_longest(
    world: World, api: Api, me: UUID
) -> None:
    made = []
    for number in range(20):
        world.forward(1)
        made.append(await api.ok("POST", "/notifications/devices", me, fcm(f"token-{number}")))
    world.forward(1)
    await api.ok("POST", "/notifications/devices", me, fcm("token-0"))
    newest = await api.ok("POST", "/notifications/devices", me, fcm("token-20"))
    kept = {device["id"] for device in (await api.ok("GET", "/notifications/devices", me))["items"]}
    assert len(kept) == 20
    assert {made[0]["id"], newest["id"]} <= kept
    assert made[1]["id"] not in kept


async def test_registering_twice_with_a_key_is_replayed(api: Api, me: UUID) -> None:
    first = await api.call("POST", "/notifications/devices", me, fcm("token"), Idempotency_Key="k")
    second = await api.call("POST", "/notifications/devices", me, fcm("token"), Idempotency_Key="k")
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "invalid_request")),
        ({"platform": "pigeon", "token": "t"}, (400, "invalid_request")),
        ({"platform": "fcm"}, (400, "invalid_request")),
        (fcm(""), (400, "invalid_request")),
        (fcm("x" * 4097), (400, "invalid_request")),
        (fcm("with space"), (400, "invalid_request")),
        (fcm("line\n"), (400, "invalid_request")),
        (fcm("token") | {"subscription": browser()["subscription"]}, (400, "invalid_request")),
        ({"platform": "webpush", "token": "token"}, (400, "invalid_request")),
        (browser() | {"token": "token"}, (400, "invalid_request")),
        (browser(keys={"p256dh": "AAAA", "auth": "AAAA"}), (400, "invalid_request")),
        (browser(unknown=1), (400, "invalid_request")),
        (browser("http://push.example/1"), (422, "push_endpoint_refused")),
        (browser("https://push.example:8443/1"), (422, "push_endpoint_refused")),
        (browser("https://inside.example/1"), (422, "push_endpoint_refused")),
        (browser("https://nowhere.example/1"), (422, "push_endpoint_refused")),
    ],
)
async def test_bad_devices_are_refused(api: Api, me: UUID, body: Any, expected: tuple[int, str]) -> None:
    assert await api.refused("POST", "/notifications/devices", me, body) == expected
    assert (await api.ok("GET", "/notifications/devices", me))["items"] == []


async def test_a_deleted_account_registers_nothing(world: World, api: Api) -> None:
    gone = await world.person(status="deleted")
    assert await api.refused("POST", "/notifications/devices", gone, fcm("token")) == (404, "not_found")


async def test_browsers_get_the_key_to_subscribe_with(api: Api, me: UUID) -> None:
    assert await api.ok("GET", "/notifications/web-push-key", me) == {"publicKey": "the-public-key"}


async def test_preferences_are_spelt_out_replaced_and_guarded_by_their_version(api: Api, me: UUID) -> None:
    path = "/notifications/preferences"
    first = await api.ok("GET", path, me)
    assert (set(first["types"]), first["quietHours"], first["version"]) == (
        {str(kind) for kind in Kind},
        None,
        0,
    )
    night = {"start": "22:00", "end": "07:00", "timeZone": "Africa/Cairo"}
    chosen = {"types": {"new-quote": {"mail": True}}, "quietHours": night}
    put = await api.ok("PUT", path, me, chosen, If_Match='"0"')
    assert put["types"]["new-quote"] == {"fcm": True, "webpush": True, "mail": True}
    assert (put["quietHours"], put["version"]) == (night, 1)
    assert await api.ok("GET", path, me) == put
    assert await api.refused("PUT", path, me, {}, If_Match='"0"') == (409, "version_conflict")
    reset = await api.ok("PUT", path, me, {})
    assert (reset["types"], reset["quietHours"], reset["version"]) == (first["types"], None, 2)


@pytest.mark.parametrize(
    "body",
    [
        {"types": {"pigeons": {}}},
        {"types": {"new-quote": {"fcm": "yes"}}},
        {"types": {"new-quote": {"pigeon": True}}},
        {"quietHours": {"start": "22:00", "end": "22:00", "timeZone": "UTC"}},
        {"quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Mars"}},
        {"unknown": 1},
    ],
)
async def test_bad_preferences_are_refused(api: Api, me: UUID, body: Any) -> None:
    assert await api.refused("PUT", "/notifications/preferences", me, body) == (400, "invalid_request")


async def dead_letters(world: World, count: int) -> None:
    device_owner = await world.person(CUSTOMER_ID)
    for _ in range(count):
        await world.device(device_owner)
    await world.tell(order("shipped"))
    world.phone.outcomes = [Rejected("400 bad")] * count
    world.forward(5)
    await world.sender.send_due()


async def test_ops_see_what_was_given_up_and_try_it_again(world: World, api: Api) -> None:
    await dead_letters(world, 3)
    path = "/admin/notification-dead-letters"
    page = await api.ok("GET", f"{path}?limit=2", ADMIN_ID)
    rest = await api.ok("GET", f"{path}?limit=2&cursor={page['nextCursor']}", ADMIN_ID)
    letters = page["items"] + rest["items"]
    assert rest["nextCursor"] is None
    assert len({letter["id"] for letter in letters}) == 3
    letter = letters[0]
    assert (letter["userId"], letter["type"], letter["lastError"]) == (
        str(CUSTOMER_ID),
        "order-shipped",
        "400 bad",
    )
    assert (letter["status"], letter["attempts"], letter["channel"]) == ("dead", 1, "fcm")

    retried = await api.ok("POST", f"{path}/{letter['id']}/retry", ADMIN_ID)
    assert (retried["status"], retried["attempts"]) == ("pending", 0)
    assert await api.refused("POST", f"{path}/{letter['id']}/retry", ADMIN_ID) == (404, "not_found")
    sent = len(world.phone.sent)
    await world.sender.send_due()
    assert len(world.phone.sent) == sent + 1
    assert len((await api.ok("GET", path, ADMIN_ID))["items"]) == 2


async def test_what_is_of_no_use_any_more_is_not_tried_again(world: World, api: Api) -> None:
    await dead_letters(world, 1)
    [letter] = (await api.ok("GET", "/admin/notification-dead-letters", ADMIN_ID))["items"]
    world.forward(world.settings.push_keep_s)
    path = f"/admin/notification-dead-letters/{letter['id']}/retry"
    assert await api.refused("POST", path, ADMIN_ID) == (409, "delivery_expired")


async def test_dead_letters_are_for_ops_alone(api: Api, me: UUID) -> None:
    path = "/admin/notification-dead-letters"
    assert await api.refused("GET", path, me) == (403, "forbidden")
    assert await api.refused("POST", f"{path}/{uuid7()}/retry", me) == (403, "forbidden")


async def test_a_message_of_the_operators_is_in_the_app_and_pushed(
    world: World, api: Api, me: UUID, published: list[Event]
) -> None:
    await world.device(me, "the-token")
    told = {"userIds": [str(me), str(uuid7())], "type": "news", "title": "News", "message": "We open at 9"}
    answer = await api.ok("POST", "/notifications/send", ADMIN_ID, told)
    assert (answer["sent"], answer["unknownUserIds"]) == (1, [told["userIds"][1]])
    [note] = (await api.ok("GET", "/notifications?unread=true", me))["items"]
    assert (note["title"], note["readAt"]) == ("News", None)


async def test_reading_a_notification_is_announced_once(world: World, api: Api, me: UUID) -> None:
    told = {"userIds": [str(me)], "type": "news", "title": "News", "message": "We open at 9"}
    await api.ok("POST", "/notifications/send", ADMIN_ID, told)
    [note] = (await api.ok("GET", "/notifications", me))["items"]
    read = await api.ok("PUT", f"/notifications/{note['id']}/read", me)
    again = await api.ok("PUT", f"/notifications/{note['id']}/read", me)
    assert read["readAt"] is not None
    assert again == read
    assert (await api.ok("GET", "/notifications?unread=true", me))["items"] == []
    stranger = await world.person()
    assert await api.refused("PUT", f"/notifications/{note['id']}/read", stranger) == (404, "not_found")
