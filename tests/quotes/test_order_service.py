"""Drafts, submission, reading and explaining: what is refused, what is stored, and who sees what."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from matcher.accounts.access import Caller
from matcher.db import Pool
from matcher.errors import InvalidRequest, MatcherError, NotFound, VersionConflict
from matcher.geo.cells import blurred
from matcher.ids import uuid7
from matcher.quotes.errors import (
    OrderNotDraft,
    OrderNotEditable,
    PaymentMethodUnavailable,
    TooManyOpenOrders,
    UnknownUpload,
    VinMakeMismatch,
)
from matcher.quotes.order_schemas import (
    DeliveryLocation,
    DispatchList,
    DispatchView,
    OrderUpdate,
    OrderView,
    PartRequest,
    Vehicle,
)
from matcher.quotes.quote_schemas import AcceptQuote, QuoteCreate, QuoteLine
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import IdempotentCall
from tests.quotes.factories import CONTACT, START, Clock, body
from tests.quotes.order_world import ADDRESS, HOME, World, new_customer, open_world, order_body, staff_of

ADMIN = Caller(uuid7(), "admin")
HONDA_VIN = "1HGCM82633A004352"


@pytest.fixture
async def world(clocked_pool: Pool, clock: Clock, settings: Settings) -> AsyncIterator[World]:
    async with open_world(clocked_pool, settings, clock) as world:
        yield world


# --- what is refused and what is stored


async def test_an_order_is_stored_as_its_view_says(world: World) -> None:
    view = await world.submit(make="toyota")
    order = msgspec.json.decode(encode(view), type=OrderView)
    assert order.vehicle.make == "Toyota"
    assert order.urgency == order.priority == "normal"
    assert [part.name for part in order.parts] == ["Front brake pads", "Filter"]
    assert order.dispatch.reason == "no_shop_for_make"


async def test_the_vin_is_decoded_and_stored_in_camel_case(world: World) -> None:
    view = await world.submit(make="Honda", year=2003, vin=HONDA_VIN.lower())
    vehicle = view["vehicle"]
    assert vehicle["vin"] == HONDA_VIN
    assert vehicle["vinDecoded"]["makes"] == ["honda"]
    assert vehicle["vinDecoded"]["modelYear"] == 2003
    assert vehicle["vinDecoded"]["checkDigitValid"] is True
    assert "vin" not in vehicle["vinDecoded"]
    stored = await world.orders.read(ADMIN, UUID(view["id"]))
    assert stored["vehicle"] == vehicle


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"make": "Toyota", "vin": HONDA_VIN}, "vin_make_mismatch"),
    ({"payment_method": "card"}, "payment_method_unavailable"),
    ({"make": "Toyotta"}, "unknown_make"),
    ({"year": START.year + 3}, "invalid_request"),
    ({"vin": "SHORT"}, "malformed_vin"),
    ({"vin": "1HGCM82643A004352", "make": "Honda"}, "invalid_vin"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED, ids=[code for _, code in REFUSED])
async def test_an_impossible_order_is_refused_before_the_database(
    world: World, changes: dict[str, Any], code: str
) -> None:
    for draft in (False, True):
        with pytest.raises(MatcherError) as refused:
            await world.submit(draft=draft, **changes)
        assert refused.value.code == code
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_refusals_say_what_to_correct(world: World) -> None:
    with pytest.raises(MatcherError, match="Toyota"):
        await world.submit(make="Toyotta")
    with pytest.raises(VinMakeMismatch) as mismatch:
        await world.submit(vin=HONDA_VIN)
    assert mismatch.value.errors[0].pointer == "/vehicle/vin"
    assert mismatch.value.errors[0].message.startswith("belongs to Honda")
    with pytest.raises(InvalidRequest) as year:
        await world.submit(year=START.year + 3)
    assert year.value.errors[0].pointer == "/vehicle/year"
    assert (await world.submit(year=START.year + 2))["status"] == "submitted"
    with pytest.raises(PaymentMethodUnavailable):
        await world.submit(payment_method="card")


async def test_photos_must_be_the_customers_own(world: World) -> None:
    customer = new_customer()
    own = uuid7()
    await world.pool.execute(
        "INSERT INTO users (id, name, role) VALUES ($1, 'T', 'customer')", customer.user_id
    )
    await world.pool.execute(
        "INSERT INTO uploads (id, owner_id, content_type, size_bytes, sha256, content)"
        " VALUES ($1, $2, 'image/png', 1, '', '')",
        *(own, customer.user_id),
    )
    photos = (own, uuid7())
    parts = [PartRequest(name="a", quantity=1), PartRequest(name="b", quantity=1, photo_ids=photos)]
    with pytest.raises(UnknownUpload) as refused:
        await world.submit(customer, parts=parts)
    assert [error.pointer for error in refused.value.errors] == ["/parts/1/photoIds/1"]
    fine = [PartRequest(name="b", quantity=1, photo_ids=(own,))]
    view = await world.submit(customer, parts=fine)
    assert view["parts"][0]["photoIds"] == [str(own)]
    draft = await world.submit(customer, draft=True)
    with pytest.raises(UnknownUpload):
        await world.orders.update(customer, UUID(draft["id"]), OrderUpdate(parts=parts), None)


# --- drafts


async def test_a_draft_asks_nobody_until_it_is_submitted(world: World) -> None:
    shops = await world.add_shops(3)
    customer = new_customer()
    draft = await world.submit(customer, draft=True)
    assert (draft["status"], draft["submittedAt"], draft["expiresAt"]) == ("draft", None, None)
    assert not await world.asked(draft["id"])
    reply = await world.orders.submit(customer, UUID(draft["id"]), None)
    view = body(reply)
    assert (view["status"], view["dispatch"]["shopsNotified"], view["dispatch"]["wave"]) == (
        "submitted",
        3,
        1,
    )
    assert view["expiresAt"] == "2026-05-04T14:00:00Z"
    assert set(await world.asked(draft["id"])) == set(shops)
    told = {t.recipient for event in await world.take_events() for t in event.targets}
    assert told == {f"user:{customer.user_id}", *(f"shop:{shop}" for shop in shops)}
    with pytest.raises(OrderNotDraft):
        await world.orders.submit(customer, UUID(draft["id"]), None)


EDITS: list[tuple[OrderUpdate, Callable[[dict[str, Any]], bool]]] = [
    (
        OrderUpdate(vehicle=Vehicle(make="vw", model="Golf", year=2010)),
        lambda v: bool(v["vehicle"]["make"] == "Volkswagen"),
    ),
    (
        OrderUpdate(delivery_location=DeliveryLocation(latitude=1.0, longitude=2.0)),
        lambda v: bool(v["deliveryLocation"]["latitude"] == 1.0),
    ),
    (
        OrderUpdate(parts=[PartRequest(name="Horn", quantity=3)] * 10),
        lambda v: len(v["parts"]) == 10 and v["priority"] == "high",
    ),
    (OrderUpdate(urgency="urgent"), lambda v: v["urgency"] == v["priority"] == "urgent"),
]


@pytest.mark.parametrize(("edit", "changed"), EDITS, ids=["vehicle", "place", "parts", "urgency"])
async def test_any_field_of_a_draft_can_be_edited_and_the_rest_stays(
    world: World, edit: OrderUpdate, changed: Callable[[dict[str, Any]], bool]
) -> None:
    customer = new_customer()
    draft = await world.submit(customer, draft=True, make="Honda", year=2003, vin=HONDA_VIN)
    view = body(await world.orders.update(customer, UUID(draft["id"]), edit, None))
    assert changed(view)
    assert view["version"] == 2
    for name in ("vehicle", "delivery_location", "parts"):
        camel = "deliveryLocation" if name == "delivery_location" else name
        if getattr(edit, name) is None:
            assert view[camel] == draft[camel]


async def test_an_edit_is_refused_like_a_new_order(world: World) -> None:
    customer = new_customer()
    draft = await world.submit(customer, draft=True)
    edits = [
        OrderUpdate(payment_method="card"),
        OrderUpdate(vehicle=Vehicle(make="Toyota", model="x", year=2003, vin=HONDA_VIN)),
    ]
    for edit in edits:
        with pytest.raises(MatcherError):
            await world.orders.update(customer, UUID(draft["id"]), edit, None)
    assert (await world.order(draft["id"]))["version"] == 1


async def test_if_match_compares_the_version_that_was_shown(world: World) -> None:
    customer = new_customer()
    draft_id = UUID((await world.submit(customer, draft=True))["id"])
    edit = OrderUpdate(urgency="low")
    assert body(await world.orders.update(customer, draft_id, edit, 1))["version"] == 2
    with pytest.raises(VersionConflict):
        await world.orders.update(customer, draft_id, edit, 1)
    assert body(await world.orders.update(customer, draft_id, edit, None))["version"] == 3


async def test_only_own_drafts_are_edited_and_submitted(world: World) -> None:
    customer = new_customer()
    order = UUID((await world.submit(customer))["id"])
    with pytest.raises(OrderNotEditable):
        await world.orders.update(customer, order, OrderUpdate(urgency="low"), None)
    draft = UUID((await world.submit(customer, draft=True))["id"])
    for stranger in (new_customer(), ADMIN):
        with pytest.raises(NotFound):
            await world.orders.update(stranger, draft, OrderUpdate(urgency="low"), None)
        with pytest.raises(NotFound):
            await world.orders.submit(stranger, draft, None)


async def test_open_orders_are_capped_for_drafts_too(
    clocked_pool: Pool, settings: Settings, clock: Clock
) -> None:
    customer = new_customer()
    async with open_world(clocked_pool, replace(settings, order_open_per_customer=1), clock) as world:
        draft = UUID((await world.submit(customer, draft=True))["id"])
        await world.submit(customer)
        with pytest.raises(TooManyOpenOrders):
            await world.orders.submit(customer, draft, None)
        with pytest.raises(TooManyOpenOrders):
            await world.submit(customer)


async def test_a_draft_is_kept_once_for_its_key(world: World) -> None:
    customer = new_customer()
    call = IdempotentCall.of(customer.user_id, "POST /x", "k", b"")
    first = await world.orders.create(customer, order_body(draft=True), call)
    again = await world.orders.create(customer, order_body(draft=True), call)
    assert (again.body, again.replayed) == (first.body, True)
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 1


# --- reading


async def win(world: World, customer: Caller, order: dict[str, Any], shop: Caller) -> None:
    lines = [
        QuoteLine(line_id=UUID(p["lineId"]), available=True, unit_price="9", quantity=p["quantity"])
        for p in order["parts"]
    ]
    terms = QuoteCreate(
        order_id=UUID(order["id"]),
        lines=lines,
        delivery_fee="1",
        currency="USD",
        estimated_delivery_minutes=5,
    )
    quote = body(await world.quotes.provide(shop, terms, None))
    accept = AcceptQuote(quote_id=UUID(quote["id"]), quote_version=quote["version"])
    await world.quotes.accept(customer, UUID(order["id"]), accept, None)


async def test_customers_and_admins_read_the_order_and_others_find_nothing(world: World) -> None:
    shops = await world.add_shops(2)
    customer = new_customer()
    order = await world.submit(customer)
    order_id = UUID(order["id"])
    for reader in (customer, ADMIN):
        view = await world.orders.read(reader, order_id)
        assert msgspec.json.decode(encode(view)) == order
    asked = await world.orders.read(staff_of(shops[0], "accountant"), order_id)
    assert msgspec.json.decode(encode(asked), type=DispatchView).status == "pending"
    several = Caller(uuid7(), "customer", {uuid7(): "manager", shops[1]: "manager"})
    assert (await world.orders.read(several, order_id))["orderId"] == order_id
    for stranger in (new_customer(), staff_of(uuid7())):
        with pytest.raises(NotFound):
            await world.orders.read(stranger, order_id)
    with pytest.raises(NotFound):
        await world.orders.read(customer, uuid7())


async def test_until_it_wins_a_shop_learns_nothing_of_the_customer(world: World) -> None:
    shops = [staff_of(shop) for shop in await world.add_shops(3)]
    customer = new_customer()
    order = await world.submit(customer)
    order_id = UUID(order["id"])

    async def seen_by(shop: Caller) -> str:
        return encode(await world.orders.read(shop, order_id)).decode()

    secrets = (ADDRESS, *CONTACT.values(), str(HOME.latitude), str(HOME.longitude), str(customer.user_id))
    for shop in shops:
        assert not [secret for secret in secrets if secret in await seen_by(shop)]
    await win(world, customer, order, shops[1])
    for loser in (shops[0], shops[2]):
        assert not [secret for secret in secrets if secret in await seen_by(loser)]
        assert (await world.orders.read(loser, order_id))["orderStatus"] == "closed"
    won = await world.orders.read(shops[1], order_id)
    text = encode(won).decode()
    assert all(secret in text for secret in secrets[:-1])
    assert won["contact"] == CONTACT
    assert won["deliveryLocation"]["precisionM"] is None


async def test_the_place_is_the_centre_of_its_cell_and_distances_start_there(world: World) -> None:
    shop = staff_of((await world.add_shops(1))[0])
    order = await world.submit()
    view = await world.orders.read(shop, UUID(order["id"]))
    centre = blurred(HOME)
    assert view["deliveryLocation"] == {
        "latitude": centre.latitude,
        "longitude": centre.longitude,
        "precisionM": centre.precision_m,
    }
    assert view["distanceM"] % 100 == 0


async def test_the_choice_of_shops_is_explained_to_owner_and_admin(world: World) -> None:
    shops = await world.add_shops(3)
    customer = new_customer()
    order_id = UUID((await world.submit(customer))["id"])
    for reader in (customer, ADMIN):
        answer = msgspec.json.decode(encode(await world.orders.explain(reader, order_id)), type=DispatchList)
        assert [item.rank for item in answer.items] == [1, 2, 3]
        assert {item.shop_id for item in answer.items} == set(shops)
        assert {item.shop_name for item in answer.items} == {"Shop 1", "Shop 2", "Shop 3"}
        assert all(len(item.reasons) == 5 for item in answer.items)
    for stranger in (new_customer(), staff_of(shops[0])):
        with pytest.raises(NotFound):
            await world.orders.explain(stranger, order_id)


async def test_lists_page_newest_first_by_status(world: World) -> None:
    customer = new_customer()
    ids = [(await world.submit(customer, draft=n % 2 == 0))["id"] for n in range(5)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await world.orders.list_of_user(customer, customer.user_id, None, 2, cursor)
        found += [str(item["id"]) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == ids[::-1]
    drafts = await world.orders.list_of_user(ADMIN, customer.user_id, "draft", 50, None)
    assert [str(item["id"]) for item in drafts.items] == ids[4::-2]
    with pytest.raises(NotFound):
        await world.orders.list_of_user(new_customer(), customer.user_id, None, 50, None)
