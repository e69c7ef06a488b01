"""What shops can do with quotes, on real PostgreSQL: effects, refusals, events."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from matcher.db import Pool
from matcher.errors import Forbidden, InvalidRequest, MatcherError, NotFound, VersionConflict
from matcher.ids import uuid7
from matcher.quotes import errors
from matcher.quotes.quote_schemas import DeclineRequest, QuoteLine, SeenRequest
from matcher.settings import Settings
from matcher.transactions import IdempotentCall
from tests.quotes.factories import (
    FOREIGN_PHOTO,
    MICROSECOND,
    START,
    SUSPENDED_SHOP,
    Clock,
    Quoting,
    accept,
    body,
    check_invariants,
    close_order,
    dispatch_row,
    insert_order,
    make_quoting,
    names,
    order_row,
    provide,
    quote_of,
    shop_caller,
    terms,
)

# --- provide


async def test_first_quote_opens_the_bidding(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, quantities=(1, 2))
    reply = await quoting.service.provide(order.shops[0], quote_of(order), None)
    quote = body(reply)
    assert reply.status == 201
    assert quote["status"] == "active"
    assert quote["source"] == "manual"
    assert (quote["partsTotal"], quote["deliveryFee"], quote["totalPrice"]) == ("135.00", "5.00", "140.00")
    assert quote["availableParts"] == [str(line) for line in order.lines]
    assert quote["partialParts"] == quote["missingParts"] == []
    assert quote["estimatedDelivery"] == "2026-05-04T12:45:00Z"
    assert quote["version"] == 2
    assert quote["shopName"] == f"Shop {order.shops[0].shop_id}"
    assert {line["lineId"] for line in quote["lines"]} == {str(line) for line in order.lines}
    row, dispatch = await order_row(clocked_pool, order), await dispatch_row(clocked_pool, order)
    assert (row["status"], row["version"], row["view_version"]) == ("quoted", 2, 2)
    assert (dispatch["status"], dispatch["version"]) == ("quoted", 2)
    assert dispatch["responded_at"] == dispatch["seen_at"] == START
    await check_invariants(clocked_pool, order.id)


async def test_quote_is_told_to_its_shop_and_the_customer_only(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await provide(quoting, order)
    shop, customer = f"shop:{order.shops[0].shop_id}", f"user:{order.customer.user_id}"
    assert sorted(await quoting.events()) == [
        ("dispatch-updated", {shop}),
        ("new-quote", {shop, customer}),
        ("order-status-update", {customer}),
    ]


async def test_second_shop_s_quote_leaves_the_order_s_view_alone(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    await provide(quoting, order, 0)
    await quoting.events()
    await provide(quoting, order, 1)
    row = await order_row(clocked_pool, order)
    assert (row["version"], row["view_version"]) == (3, 2)
    assert names(await quoting.events()) == ["dispatch-updated", "new-quote"]


async def test_alternatives_are_kept_with_ids_and_partial_lines_are_named(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool, quantities=(1, 4, 2))
    one, four, two = order.lines
    lines = [
        QuoteLine(line_id=one, available=True, unit_price="10", quantity=1, core_charge="3.50"),
        QuoteLine(line_id=one, available=True, unit_price="90", quantity=1, brand="Brembo"),
        QuoteLine(line_id=four, available=True, unit_price="2.5", quantity=3),
        QuoteLine(line_id=two, available=False),
    ]
    quote = await provide(quoting, order, lines=lines)
    assert quote["partsTotal"] == "21.00"
    assert quote["availableParts"] == [str(one)]
    assert quote["partialParts"] == [str(four)]
    assert quote["missingParts"] == [str(two)]
    assert len({line["offerId"] for line in quote["lines"]}) == 4
    assert quote["lines"][0]["coreCharge"] == "3.50"
    assert quote["lines"][1]["brand"] == "Brembo"


async def test_order_that_was_not_dispatched_to_the_shop_is_unknown(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    stranger = shop_caller(uuid7())
    with pytest.raises(NotFound):
        await quoting.service.provide(stranger, quote_of(order), None)
    with pytest.raises(NotFound):
        await quoting.service.decline(stranger, DeclineRequest(order_id=order.id, reason="no"), None)
    with pytest.raises(NotFound):
        await quoting.service.mark_seen(stranger, SeenRequest(order_id=order.id))
    with pytest.raises(NotFound):
        await quoting.service.mark_seen(order.shops[0], SeenRequest(order_id=uuid7()))


async def test_revoked_dispatch_of_an_open_order_is_unknown(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await clocked_pool.execute("UPDATE dispatches SET status = 'closed', closed_reason = 'revoked'")
    with pytest.raises(NotFound):
        await provide(quoting, order)


async def test_shop_that_may_not_quote_is_refused(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, shops=[shop_caller(SUSPENDED_SHOP)])
    with pytest.raises(Forbidden):
        await provide(quoting, order)


async def test_caller_without_a_shop_is_refused(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    with pytest.raises(Forbidden):
        await quoting.service.provide(order.customer, quote_of(order), None)


@pytest.mark.parametrize(
    ("status", "refusal"),
    [("cancelled", errors.OrderCancelled), ("expired", errors.OrderExpired)],
)
async def test_closed_order_takes_no_answers(
    clocked_pool: Pool, quoting: Quoting, status: str, refusal: type[MatcherError]
) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    await close_order(clocked_pool, order.id, status)
    service, (shop, other) = quoting.service, order.shops
    with pytest.raises(refusal):
        await service.provide(other, quote_of(order), None)
    with pytest.raises(refusal):
        await service.update(shop, UUID(quote["id"]), terms(order))
    with pytest.raises(refusal):
        await service.withdraw(shop, UUID(quote["id"]))
    with pytest.raises(refusal):
        await service.decline(other, DeclineRequest(order_id=order.id, reason="no"), None)
    with pytest.raises(refusal):
        await accept(quoting, order, quote)


async def test_order_past_its_end_takes_no_answers_before_the_sweeper_came(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    clock.now = order.expires_at
    with pytest.raises(errors.OrderExpired):
        await provide(quoting, order, 1)
    with pytest.raises(errors.OrderExpired):
        await accept(quoting, order, quote)
    clock.now = order.expires_at - MICROSECOND
    await provide(quoting, order, 1)
    assert (await accept(quoting, order, quote))["status"] == "accepted"


async def test_second_live_quote_of_a_shop_is_refused(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await provide(quoting, order)
    with pytest.raises(errors.QuoteExists):
        await provide(quoting, order)
    assert (await order_row(clocked_pool, order))["version"] == 2


async def test_other_currency_than_the_order_s_is_refused(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, currency="EGP")
    with pytest.raises(errors.CurrencyMismatch, match="EGP"):
        await provide(quoting, order)


async def test_validity_must_end_in_the_future_and_while_the_order_can_be_open(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    last = START + timedelta(seconds=Settings().order_open_max_s)
    for bad in (START, START - timedelta(days=1), last + MICROSECOND):
        with pytest.raises(InvalidRequest) as refusal:
            await provide(quoting, order, valid_until=bad)
        assert [e.pointer for e in refusal.value.errors] == ["/validUntil"]
    assert (await provide(quoting, order, valid_until=last))["validUntil"] == "2026-05-05T12:00:00Z"


async def test_lines_must_be_the_order_s(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    first = QuoteLine(line_id=order.lines[0], available=True, unit_price="1.00", quantity=1)
    foreign = QuoteLine(line_id=uuid7(), available=False)
    with pytest.raises(errors.QuoteLinesMismatch) as refusal:
        await provide(quoting, order, lines=[first, foreign])
    assert [e.pointer for e in refusal.value.errors] == ["/lines/1/lineId", "/lines"]
    nothing = [QuoteLine(line_id=line, available=False) for line in order.lines]
    with pytest.raises(errors.NothingOffered):
        await provide(quoting, order, lines=nothing)
    assert await clocked_pool.fetchval("SELECT count(*) FROM quotes") == 0
    assert (await order_row(clocked_pool, order))["version"] == 1


async def test_quote_that_ran_out_makes_room_for_a_new_one(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order = await insert_order(clocked_pool)
    old = await provide(quoting, order, valid_until=START + timedelta(minutes=5))
    await quoting.events()
    clock.now = START + timedelta(minutes=5)
    new = await provide(quoting, order)
    assert new["id"] != old["id"]
    assert names(await quoting.events()) == ["dispatch-updated", "new-quote", "quote-expired"]
    await check_invariants(clocked_pool, order.id)


async def test_repeated_provide_is_replayed_and_writes_once(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    shop = order.shops[0]
    call = IdempotentCall.of(shop.user_id, "POST /shop-quotes/provide-quote", "key-1", b"payload")
    first = await quoting.service.provide(shop, quote_of(order), call)
    again = await quoting.service.provide(shop, quote_of(order), call)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.body) == (first.status, first.body)
    assert await clocked_pool.fetchval("SELECT count(*) FROM quotes") == 1


async def test_photos_must_be_the_caller_s_or_of_the_quote_already(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order, own = await insert_order(clocked_pool, quantities=(1,)), uuid7()
    lines = [
        QuoteLine(
            line_id=order.lines[0],
            available=True,
            unit_price="1.00",
            quantity=1,
            photo_ids=(own, FOREIGN_PHOTO),
        )
    ]
    with pytest.raises(errors.UnknownUpload) as refusal:
        await provide(quoting, order, lines=lines)
    assert [e.pointer for e in refusal.value.errors] == ["/lines/0/photoIds/1"]
    quote = await provide(quoting, order)
    with pytest.raises(errors.UnknownUpload):
        await quoting.service.update(order.shops[0], UUID(quote["id"]), terms(order, lines=lines))
    await clocked_pool.execute(
        "UPDATE quotes SET lines = jsonb_set(lines, '{0,photoIds}', $1)", [str(FOREIGN_PHOTO)]
    )
    edited = await quoting.service.update(order.shops[0], UUID(quote["id"]), terms(order, lines=lines))
    assert body(edited)["lines"][0]["photoIds"] == [str(own), str(FOREIGN_PHOTO)]


async def test_longest_life_of_an_order_is_a_setting(clocked_pool: Pool) -> None:
    quoting = make_quoting(clocked_pool, replace(Settings(), order_open_max_s=3_600))
    order = await insert_order(clocked_pool)
    with pytest.raises(InvalidRequest):
        await provide(quoting, order, valid_until=START + timedelta(hours=1, seconds=1))
    await provide(quoting, order, valid_until=START + timedelta(hours=1))


# --- update


async def test_edit_replaces_the_terms_and_keeps_named_offers(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order = await insert_order(clocked_pool, quantities=(1,))
    quote = await provide(quoting, order)
    await quoting.events()
    clock.now = START + timedelta(minutes=1)
    kept = UUID(quote["lines"][0]["offerId"])
    lines = [
        QuoteLine(line_id=order.lines[0], available=True, unit_price="39.00", quantity=1, offer_id=kept),
        QuoteLine(line_id=order.lines[0], available=True, unit_price="60.00", quantity=1),
    ]
    edited = body(
        await quoting.service.update(
            order.shops[0], UUID(quote["id"]), terms(order, lines=lines), quote["version"]
        )
    )
    assert edited["totalPrice"] == "44.00"
    assert edited["lines"][0]["offerId"] == str(kept) != edited["lines"][1]["offerId"]
    assert edited["version"] == 3
    assert edited["estimatedDelivery"] == "2026-05-04T12:46:00Z"
    assert edited["createdAt"] == quote["createdAt"]
    assert await quoting.events() == [
        ("quote-updated", {f"shop:{order.shops[0].shop_id}", f"user:{order.customer.user_id}"})
    ]


async def test_edit_of_a_version_that_is_gone_is_a_conflict(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    with pytest.raises(VersionConflict):
        await quoting.service.update(order.shops[0], UUID(quote["id"]), terms(order), quote["version"] - 1)
    with pytest.raises(VersionConflict):
        await quoting.service.withdraw(order.shops[0], UUID(quote["id"]), quote["version"] + 1)


async def test_rival_s_quote_is_unknown(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    with pytest.raises(NotFound):
        await quoting.service.update(order.shops[1], UUID(quote["id"]), terms(order))
    with pytest.raises(NotFound):
        await quoting.service.withdraw(order.shops[1], UUID(quote["id"]))


async def test_quote_that_ran_out_cannot_be_edited_or_withdrawn(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order = await insert_order(clocked_pool)
    clock_end = START + timedelta(minutes=5)
    quote = await provide(quoting, order, valid_until=clock_end)
    clock.now = clock_end
    with pytest.raises(errors.QuoteExpired):
        await quoting.service.update(order.shops[0], UUID(quote["id"]), terms(order))
    with pytest.raises(errors.QuoteExpired):
        await quoting.service.withdraw(order.shops[0], UUID(quote["id"]))
    with pytest.raises(errors.QuoteExpired):
        await accept(quoting, order, quote)


# --- withdraw


async def test_last_quote_withdrawn_opens_the_order_again(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    first, second = await provide(quoting, order, 0), await provide(quoting, order, 1)
    withdrawn = body(await quoting.service.withdraw(order.shops[0], UUID(first["id"]), first["version"]))
    assert withdrawn["status"] == "withdrawn"
    assert (await order_row(clocked_pool, order))["status"] == "quoted"
    await quoting.events()
    await quoting.service.withdraw(order.shops[1], UUID(second["id"]))
    row = await order_row(clocked_pool, order)
    assert (row["status"], row["version"], row["view_version"]) == ("submitted", 5, 5)
    assert (await dispatch_row(clocked_pool, order, 1))["status"] == "seen"
    assert names(await quoting.events()) == ["dispatch-updated", "order-status-update", "quote-withdrawn"]
    with pytest.raises(errors.QuoteWithdrawn):
        await quoting.service.withdraw(order.shops[1], UUID(second["id"]))
    with pytest.raises(errors.QuoteWithdrawn):
        await accept(quoting, order, second)
    await provide(quoting, order, 1)
    await check_invariants(clocked_pool, order.id)


# --- decline and seen


async def test_decline_is_told_to_the_shop_alone_and_only_once(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    request = DeclineRequest(order_id=order.id, reason="no stock")
    view = body(await quoting.service.decline(order.shops[0], request, None))
    assert (view["status"], view["version"]) == ("declined", 2)
    assert await quoting.events() == [("dispatch-updated", {f"shop:{order.shops[0].shop_id}"})]
    again = await quoting.service.decline(
        order.shops[0], DeclineRequest(order_id=order.id, reason="other"), None
    )
    assert body(again) == view
    assert await quoting.events() == []
    dispatch = await dispatch_row(clocked_pool, order)
    assert (dispatch["decline_reason"], dispatch["responded_at"]) == ("no stock", START)


async def test_shop_may_quote_after_it_declined(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await quoting.service.decline(order.shops[0], DeclineRequest(order_id=order.id, reason="no"), None)
    await provide(quoting, order)
    assert (await dispatch_row(clocked_pool, order))["decline_reason"] is None
    await check_invariants(clocked_pool, order.id)


async def test_decline_with_a_live_quote_is_refused(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order = await insert_order(clocked_pool)
    until = START + timedelta(minutes=5)
    await provide(quoting, order, valid_until=until)
    request = DeclineRequest(order_id=order.id, reason="sold")
    with pytest.raises(errors.QuoteExists):
        await quoting.service.decline(order.shops[0], request, None)
    clock.now = until
    view = body(await quoting.service.decline(order.shops[0], request, None))
    assert view["status"] == "declined"
    await check_invariants(clocked_pool, order.id)


async def test_next_wave_is_due_at_once_when_all_have_declined(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, shops=2)
    request = DeclineRequest(order_id=order.id, reason="no")
    await quoting.service.decline(order.shops[0], request, None)
    assert (await order_row(clocked_pool, order))["next_wave_at"] == START + timedelta(minutes=10)
    await quoting.service.decline(order.shops[1], request, None)
    assert (await order_row(clocked_pool, order))["next_wave_at"] == START


async def test_only_the_first_look_counts_as_seen(clocked_pool: Pool, quoting: Quoting, clock: Clock) -> None:
    order = await insert_order(clocked_pool)
    first = body(await quoting.service.mark_seen(order.shops[0], SeenRequest(order_id=order.id)))
    assert (first["status"], first["version"]) == ("seen", 2)
    assert names(await quoting.events()) == ["dispatch-updated"]
    clock.now = START + timedelta(minutes=1)
    again = body(await quoting.service.mark_seen(order.shops[0], SeenRequest(order_id=order.id)))
    assert again == first
    row = await order_row(clocked_pool, order)
    assert (row["version"], row["view_version"]) == (2, 1)


async def test_look_at_a_closed_order_changes_nothing(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await close_order(clocked_pool, order.id, "cancelled")
    view = body(await quoting.service.mark_seen(order.shops[0], SeenRequest(order_id=order.id)))
    assert (view["status"], view["closedReason"], view["version"]) == ("closed", "cancelled", 2)
