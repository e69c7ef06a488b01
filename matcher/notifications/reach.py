"""Where and how people want to be reached: their devices, their preferences; and what could not be delivered."""

import hashlib
from typing import Any
from uuid import UUID

import msgspec

from matcher.accounts.access import Caller
from matcher.db import Connection, Row, load_queries
from matcher.errors import FieldError, InvalidRequest, NotFound, VersionConflict
from matcher.ids import uuid7
from matcher.notifications import endpoints, preferences, webpush_crypto
from matcher.notifications.endpoints import EndpointRefused, EndpointUnresolved
from matcher.notifications.errors import DeliveryExpired, PlatformUnavailable, PushEndpointRefused
from matcher.notifications.preferences import Preferences, PreferencesUpdate, QuietHours
from matcher.notifications.schemas import DeviceRegister
from matcher.notifications.webpush import Subscription
from matcher.paging import Page, decode_cursor, page_of
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

SQL = load_queries("matcher.notifications", "reach.sql")


class ReachService:
    """See the module. `push_key`: the public half of the VAPID key, base64url; None without web push."""

    def __init__(
        self,
        transactions: Transactions,
        settings: Settings,
        push_key: str | None,
        *,
        lookup: endpoints.Resolve = endpoints.system_lookup,
    ) -> None:
        self._transactions = transactions
        self._settings = settings
        self._push_key = push_key
        self._lookup = lookup

    def web_push_key(self) -> str:
        """What a browser subscribes with; PlatformUnavailable without web push."""
        if self._push_key is None:
            raise PlatformUnavailable
        return self._push_key

    async def register(self, caller: Caller, body: DeviceRegister, call: IdempotentCall | None) -> Reply:
        """The caller's device. Registered again it stays the same; by another account, it is theirs from now on."""
        address, identity = await self._address(body)

        async def work(tx: Transaction) -> dict[str, Any]:
            if await tx.connection.fetchval(SQL["lock_user"], caller.user_id) is None:
                raise NotFound
            row = await tx.connection.fetchrow(
                SQL["register_device"],
                *(
                    uuid7(),
                    caller.user_id,
                    body.platform,
                    address,
                    hashlib.sha256(identity.encode()).digest(),
                ),
            )
            assert row is not None, "an upsert returns its row"
            others = self._settings.devices_per_account - 1
            await tx.connection.execute(SQL["delete_surplus_devices"], caller.user_id, row["id"], others)
            return device_view(row)

        return await self._transactions.run(work, status=201, call=call)

    async def devices(self, caller: Caller) -> Page[dict[str, Any]]:
        """All of the caller's devices; a few."""
        rows = await self._transactions.pool.fetch(SQL["list_devices"], caller.user_id)
        return Page(items=[device_view(row) for row in rows])

    async def remove(self, caller: Caller, device_id: UUID) -> None:
        """Forget a device of the caller's; NotFound when there is none."""
        if await self._transactions.pool.fetchval(SQL["delete_device"], device_id, caller.user_id) is None:
            raise NotFound

    async def preferences(self, caller: Caller) -> Preferences:
        """What is in force for the caller."""
        row = await self._transactions.pool.fetchrow(SQL["find_preferences"], caller.user_id)
        return _in_force(row)

    async def put_preferences(
        self, caller: Caller, body: PreferencesUpdate, expected_version: int | None
    ) -> Reply:
        """Replace the caller's preferences; VersionConflict when they have changed since."""
        preferences.check(body)

        async def work(tx: Transaction) -> Preferences:
            await tx.connection.fetchval(SQL["lock_user"], caller.user_id)
            await _check_version(tx.connection, caller.user_id, expected_version)
            row = await tx.connection.fetchrow(
                SQL["put_preferences"],
                caller.user_id,
                msgspec.to_builtins(body.types, str_keys=True),
                msgspec.to_builtins(body.quiet_hours),
            )
            return _in_force(row)

        return await self._transactions.run(work)

    async def dead_letters(self, limit: int, cursor: str | None) -> Page[dict[str, Any]]:
        """Deliveries that were given up, newest first."""
        rows = await self._transactions.pool.fetch(SQL["list_dead"], decode_cursor(cursor), limit + 1)
        return page_of(rows, limit, dead_letter_view, lambda row: row["id"])

    async def retry(self, delivery_id: UUID, call: IdempotentCall | None) -> Reply:
        """Try a dead letter again, from the first attempt; DeliveryExpired when its time is over."""

        async def work(tx: Transaction) -> dict[str, Any]:
            row = await tx.connection.fetchrow(SQL["lock_dead"], delivery_id)
            if row is None:
                raise NotFound
            now = await tx.connection.fetchval(SQL["now"])
            if now >= row["expires_at"]:
                raise DeliveryExpired
            revived = await tx.connection.fetchrow(SQL["revive"], delivery_id, now)
            assert revived is not None, "the row is locked"
            return dead_letter_view(revived)

        return await self._transactions.run(work, call=call)

    async def _address(self, body: DeviceRegister) -> tuple[str, str]:
        """What is stored, and what makes it one installation."""
        if body.platform == "fcm":
            if body.token is None or body.subscription is not None:
                raise InvalidRequest(
                    errors=[FieldError("/token", "give a token, and no subscription, for fcm")]
                )
            return body.token, f"fcm:{body.token}"
        if body.subscription is None or body.token is not None:
            message = "give a subscription, and no token, for webpush"
            raise InvalidRequest(errors=[FieldError("/subscription", message)])
        await self._check_subscription(body.subscription)
        return encode(body.subscription).decode(), f"webpush:{body.subscription.endpoint}"

    async def _check_subscription(self, subscription: Subscription) -> None:
        try:
            webpush_crypto.decode_keys(subscription.keys.p256dh, subscription.keys.auth)
        except ValueError as error:
            raise InvalidRequest(errors=[FieldError("/subscription/keys", str(error))]) from error
        private = self._settings.push_allow_private
        try:
            endpoint = endpoints.parse(subscription.endpoint, allow_private=private)
            await endpoints.resolve(endpoint, self._lookup, allow_private=private)
        except (EndpointRefused, EndpointUnresolved) as error:
            raise PushEndpointRefused(errors=[FieldError("/subscription/endpoint", str(error))]) from error


async def _check_version(connection: Connection, user_id: UUID, expected: int | None) -> None:
    if expected is None:
        return
    current = await connection.fetchval(SQL["lock_preferences"], user_id)
    if (current or 0) != expected:
        raise VersionConflict


def _in_force(row: Row | None) -> Preferences:
    if row is None:
        return preferences.in_force({}, None, 0)
    quiet = msgspec.convert(row["quiet_hours"], type=QuietHours | None)
    return preferences.in_force(row["choices"], quiet, row["version"])


def device_view(row: Row) -> dict[str, Any]:
    """A row of `devices` as `DeviceView`: its address stays with us."""
    return {
        "id": row["id"],
        "platform": row["platform"],
        "createdAt": row["created_at"],
        "lastUsedAt": row["last_used_at"],
    }


def dead_letter_view(row: Row) -> dict[str, Any]:
    """A row of `deliveries` as `DeadLetterView`."""
    return {
        "id": row["id"],
        "userId": row["user_id"],
        "channel": row["channel"],
        "deviceId": row["target_id"] if row["channel"] != "mail" else None,
        "type": row["kind"],
        "title": row["content"]["title"],
        "status": row["status"],
        "attempts": row["attempts"],
        "lastError": row["last_error"],
        "createdAt": row["created_at"],
        "expiresAt": row["expires_at"],
    }
