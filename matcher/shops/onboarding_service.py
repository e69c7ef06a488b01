"""Onboardings: start, steps, completion. Owns their transactions; the rules of the steps are `onboarding.py`."""

from uuid import UUID

from matcher.accounts.access import Caller
from matcher.accounts.service import AccountService
from matcher.audit import Kind, record
from matcher.db import Connection, Row
from matcher.errors import FieldError, NotFound, VersionConflict
from matcher.ids import uuid7
from matcher.shops import repository
from matcher.shops.errors import OnboardingClosed, TooManyOnboardings
from matcher.shops.lifecycle import check_claimable
from matcher.shops.onboarding import Progress, StepBody, assemble, check_step
from matcher.shops.schemas import CompletedOnboarding, OnboardingView, Verification
from matcher.shops.shop import Shop
from matcher.shops.views import onboarding_view
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

# A chain enters its branches one after the other; beyond this somebody only starts and never completes.
MAX_OPEN = 20


class OnboardingService:
    """See the module. Every method is scoped to the caller: another account's onboarding is NotFound."""

    def __init__(self, transactions: Transactions, accounts: AccountService) -> None:
        self._transactions = transactions
        self._accounts = accounts

    async def start(
        self, caller: Caller, claim_shop_id: UUID | None, call: IdempotentCall | None = None
    ) -> Reply:
        """An OnboardingView. Raises NotFound, ShopAlreadyClaimed, TooManyOnboardings.

        Several accounts may claim one shop at a time; who completes first is verified first.
        """

        async def work(tx: Transaction) -> OnboardingView:
            if await repository.count_open_onboardings(tx.connection, caller.user_id) >= MAX_OPEN:
                raise TooManyOnboardings
            if claim_shop_id is not None:
                _check_claim(await repository.find_shop(tx.connection, claim_shop_id), caller)
            return onboarding_view(
                await repository.insert_onboarding(tx.connection, uuid7(), caller.user_id, claim_shop_id)
            )

        return await self._transactions.run(work, status=201, call=call)

    async def get(self, caller: Caller, onboarding_id: UUID) -> OnboardingView:
        """Raises NotFound."""
        row = await repository.find_onboarding(self._transactions.pool, onboarding_id, caller.user_id)
        return onboarding_view(_found(row))

    async def put_step(
        self, caller: Caller, onboarding_id: UUID, step: int, body: StepBody, expected_version: int | None
    ) -> Reply:
        """An OnboardingView after `step` (1 to 6) was given `body`, for the first time or again.

        Raises NotFound, OnboardingClosed, VersionConflict, and what the step's own checks raise.
        """
        checked = check_step(body)

        async def work(tx: Transaction) -> OnboardingView:
            row = _open(await repository.lock_onboarding(tx.connection, onboarding_id, caller.user_id))
            if expected_version not in (None, row["version"]):
                raise VersionConflict
            if isinstance(checked, Verification):
                await _check_documents(tx.connection, checked, caller.user_id)
            progress = _progress(row).with_step(step, checked)
            return onboarding_view(await _save(tx.connection, row, progress, "in_progress", None))

        return await self._transactions.run(work)

    async def complete(
        self, caller: Caller, onboarding_id: UUID, call: IdempotentCall | None = None
    ) -> Reply:
        """A CompletedOnboarding: the shop waits for verification and the caller is its owner.

        Raises NotFound, OnboardingClosed, OnboardingIncomplete, ShopAlreadyClaimed.
        """

        async def work(tx: Transaction) -> CompletedOnboarding:
            connection, user_id = tx.connection, caller.user_id
            seen = _found(await repository.find_onboarding(connection, onboarding_id, user_id))
            claim_shop_id = seen["claim_shop_id"]
            # The shop before the onboarding, as verification locks them; what is claimed never changes.
            claimed = await repository.lock_shop(connection, claim_shop_id) if claim_shop_id else None
            row = _open(await repository.lock_onboarding(connection, onboarding_id, user_id))
            if claim_shop_id:
                _check_claim(claimed, caller)
            shop = assemble(_progress(row), owner_id=user_id, shop_id=uuid7(), claimed=claimed)
            saved = await repository.save_shop(connection, shop)
            if claimed and claimed.owner_id not in (None, user_id):
                # Whoever claimed it before was rejected and has no business in it any more.
                await self._accounts.revoke_all(connection, saved.id)
            await self._accounts.grant(connection, user_id, saved.id, "shop_owner")
            if claimed:
                await record(connection, Kind.SHOP_CLAIMED, user_id, {"shopId": str(saved.id)})
            await _save(connection, row, _progress(row), "completed", saved.id)
            return CompletedOnboarding(
                id=onboarding_id, status="completed", shop_id=saved.id, shop_status=saved.status
            )

        return await self._transactions.run(work, call=call)


def _check_claim(shop: Shop | None, caller: Caller) -> None:
    if shop is None:
        raise NotFound("There is no such shop to claim.", errors=[FieldError("/claimShopId", "no such shop")])
    check_claimable(shop.status, imported=shop.imported, own=shop.owner_id == caller.user_id)


async def _check_documents(connection: Connection, body: Verification, user_id: UUID) -> None:
    own = await repository.list_own_uploads(connection, body.document_ids, user_id)
    errors = [
        FieldError(f"/documentIds/{number}", "no such upload of yours")
        for number, document_id in enumerate(body.document_ids)
        if document_id not in own
    ]
    if errors:
        raise NotFound("Upload the documents first; some of these are not yours.", errors=errors)


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row


def _open(row: Row | None) -> Row:
    if _found(row)["status"] != "in_progress":
        raise OnboardingClosed
    return _found(row)


def _progress(row: Row) -> Progress:
    return Progress(steps=row["steps"], completed_steps=tuple(row["completed_steps"]))


async def _save(
    connection: Connection, row: Row, progress: Progress, status: str, shop_id: UUID | None
) -> Row:
    return await repository.save_onboarding(
        connection,
        row["id"],
        status=status,
        current_step=progress.current_step,
        completed_steps=progress.completed_steps,
        steps=progress.steps,
        shop_id=shop_id,
    )
