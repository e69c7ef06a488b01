"""People, shops and an order that exist before a test sends bad input or knocks at foreign doors. Plain data."""

import asyncio
from dataclasses import dataclass
from functools import partial

from tests.e2e.api import ADMIN_EMAIL, Account, Api, Json, Town, eventually, order_body, quote_body

STAFF_ROLES = ("manager", "cashier", "stock_clerk", "accountant")


@dataclass
class World:
    """Two of everything: one's own, and a stranger's."""

    town: Town
    admin: Account
    customer: Account
    owner: Account
    staff: dict[str, Account]
    stranger: Account  # a customer with orders of his own
    rival: Account  # the owner of a shop that was asked for no order
    order: Json  # the customer's, dispatched to the owner's shop
    quote: Json  # of the owner's shop for that order
    rival_order: Json  # the stranger's, dispatched to the rival's shop
    rival_quote: Json


async def build_world(url: str) -> World:
    """Everything through the public endpoints."""
    api = Api(url)
    async with api.http:
        admin = await api.login(ADMIN_EMAIL)
        town, elsewhere = Town.new(), Town.new()
        owner, rival = await asyncio.gather(
            api.open_shop(admin, town.north(500)), api.open_shop(admin, elsewhere.north(500))
        )
        customer, stranger = await asyncio.gather(api.register(), api.register())
        for place, shop in ((town, owner), (elsewhere, rival)):
            await eventually(partial(api.near, place), [shop.shop_id].__eq__)
        order = await api.do("POST", "/auto-parts-orders", order_body(town, parts=2), customer)
        rival_order = await api.do("POST", "/auto-parts-orders", order_body(elsewhere), stranger)
        quote = await api.do("POST", "/shop-quotes/provide-quote", quote_body(order), owner)
        rival_quote = await api.do("POST", "/shop-quotes/provide-quote", quote_body(rival_order), rival)
        staff = {role: await _hire(api, owner, role) for role in STAFF_ROLES}
        return World(
            town, admin, customer, owner, staff, stranger, rival, order, quote, rival_order, rival_quote
        )


async def _hire(api: Api, owner: Account, role: str) -> Account:
    member = await api.register()
    member.shop_id = owner.shop_id
    await api.do("POST", f"/shops/{owner.shop_id}/staff", {"email": member.email, "role": role}, owner)
    return member
