"""Accounts and their sessions: register, sign in, refresh, sign out, one's own account, passwords.

Owns these transactions. Must not know shops: `grant` is how the shops domain gives a shop its owner.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import UNSET

from matcher.accounts import repository, schemas
from matcher.accounts.access import Caller
from matcher.accounts.attempts import Attempts, account_key, address_key
from matcher.accounts.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidRefreshToken,
    LastOwner,
    RefreshTokenReused,
    WrongPassword,
)
from matcher.accounts.identities import IdentityCache
from matcher.accounts.passwords import Passwords
from matcher.accounts.repository import SQL, Credentials
from matcher.accounts.sessions import Session, Step, decide
from matcher.accounts.staff import Staff
from matcher.accounts.tokens import TokenSigner
from matcher.audit import Kind, record
from matcher.db import Connection, Pool
from matcher.errors import FieldError, InvalidRequest, NotFound
from matcher.settings import Settings
from matcher.transactions import Transaction, Transactions


class AccountService:
    """What accounts can do; `staff` is what owners and managers do with other people's."""

    def __init__(
        self,
        transactions: Transactions,
        settings: Settings,
        tokens: TokenSigner,
        passwords: Passwords,
        identities: IdentityCache,
    ) -> None:
        self._transactions = transactions
        self._pool = transactions.pool
        self._tokens = tokens
        self._passwords = passwords
        self._identities = identities
        self._attempts = Attempts(self._pool, settings)
        self._access_s = settings.access_token_s
        self._life = timedelta(seconds=settings.refresh_token_s)
        self._grace = timedelta(seconds=settings.refresh_grace_s)
        self.staff = Staff(transactions, identities)

    async def register(self, body: schemas.Register, address: str) -> schemas.Registered:
        """Create an account and sign it in.

        EmailTaken tells that an account exists, because a person who registers twice must learn it; that it
        cannot be used to list accounts, it counts as a failed attempt of the client's address.
        """
        email = schemas.normalised_email(body.email)
        schemas.check_new_password(body.password, email, "/password")
        keys = [address_key(address)]
        async with self._passwords.turn():
            await self._attempts.check(keys)
            password_hash = await self._passwords.hash(body.password)
        async with self._pool.acquire() as connection, connection.transaction():
            user_id = await repository.insert_user(
                connection,
                email=email,
                password_hash=password_hash,
                name=body.name.strip(),
                phone=body.phone,
                role=body.role,
            )
            session = user_id and await self._open_session(connection, Credentials(user_id, password_hash))
            if not session:
                await self._attempts.failed(connection, keys)
        if not session:
            raise EmailTaken
        tokens = self._tokens_of(session, session.generation, session.advanced_at)
        return schemas.Registered(
            user_id=session.user_id,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
        )

    async def login(self, body: schemas.Login, address: str) -> schemas.Tokens:
        """Sign in. InvalidCredentials for an unknown account as for a wrong password, after the same work."""
        email = schemas.normalised_email(body.email)
        keys = [account_key(email), address_key(address)]
        async with self._passwords.turn():
            await self._attempts.check(keys)
            credentials = await repository.find_credentials(self._pool, email)
            fits = await self._passwords.verify(
                credentials.password_hash if credentials else None, body.password
            )
            if credentials is None or not fits:
                await self._failed(keys, credentials.user_id if credentials else None, email)
                raise InvalidCredentials
        async with self._pool.acquire() as connection, connection.transaction():
            session = await self._open_session(connection, credentials)
        if session is None:
            raise InvalidCredentials
        await self._attempts.succeeded(account_key(email))
        return self._tokens_of(session, session.generation, session.advanced_at)

    async def refresh(self, refresh_token: str) -> schemas.Tokens:
        """New tokens for a refresh token (the rule: `sessions.py`).

        RefreshTokenReused ends the session; InvalidRefreshToken when it has ended already.
        """
        claims = self._tokens.read_refresh(refresh_token)
        async with self._pool.acquire() as connection, connection.transaction():
            session = await repository.lock_session(connection, claims.session_id)
            moment = session and await connection.fetchrow(SQL["read_clock"], session.user_id)
            if not session or not moment:
                raise InvalidRefreshToken
            now: datetime = moment["now"]
            step = decide(session, claims.generation, now, epoch=moment["epoch"], grace=self._grace)
            if step is Step.ADVANCE:
                await connection.execute(SQL["advance_session"], session.id, now, now + self._life)
            elif step is Step.REVOKE:
                await repository.revoke_session(connection, session.id, session.user_id)
                await record(connection, Kind.REFRESH_REUSED, session.user_id, {"sessionId": str(session.id)})
        if step is Step.REFUSE:
            raise InvalidRefreshToken
        if step is Step.REVOKE:
            self._identities.forget(session.user_id)
            raise RefreshTokenReused
        return self._tokens_of(session, claims.generation + 1, now)

    async def logout(self, caller: Caller, *, everywhere: bool) -> None:
        """End the caller's session, or all of them; their access tokens end within a second.

        A token of an outside issuer belongs to no session of ours: its issuer ends it.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if everywhere:
                await connection.execute(SQL["end_all_sessions"], caller.user_id)
            elif caller.session_id is not None:
                await repository.revoke_session(connection, caller.session_id, caller.user_id)
            await record(connection, Kind.SESSION_REVOKED, caller.user_id, {"everywhere": everywhere})
        self._identities.forget(caller.user_id)

    async def me(self, caller: Caller) -> schemas.Me:
        """The caller's account as it is now."""
        async with self._pool.acquire() as connection:
            return await _read_me(connection, caller.user_id)

    async def update_me(self, caller: Caller, body: schemas.UpdateMe) -> schemas.Me:
        """Change name or phone."""
        name = None if body.name is UNSET else body.name.strip()
        phone = None if body.phone is UNSET else body.phone
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                SQL["update_user"],
                caller.user_id,
                body.name is not UNSET,
                name,
                body.phone is not UNSET,
                phone,
            )
            return await _read_me(connection, caller.user_id)

    async def delete_me(self, caller: Caller) -> None:
        """Forget the person behind an account and end its sessions; orders keep pointing to the empty account.

        LastOwner while a shop would be left without one. A person of an outside issuer who comes back gets a
        new account.
        """

        async def work(tx: Transaction) -> None:
            await tx.connection.execute(SQL["delete_sessions"], caller.user_id)
            for shop in await tx.connection.fetch(SQL["list_owned_shops"], caller.user_id):
                owners = await tx.connection.fetch(SQL["lock_owners"], shop["shop_id"])
                if [owner["user_id"] for owner in owners] == [caller.user_id]:
                    raise LastOwner(extra={"shopId": str(shop["shop_id"])})
            await tx.connection.execute(SQL["delete_memberships"], caller.user_id)
            await tx.connection.execute(SQL["anonymise_user"], caller.user_id)
            await record(tx.connection, Kind.ACCOUNT_DELETED, caller.user_id)

        await self._transactions.run(work, status=204)
        self._identities.forget(caller.user_id)

    async def change_password(
        self, caller: Caller, body: schemas.ChangePassword, address: str
    ) -> schemas.Tokens:
        """Replace the password and end every session; the answer's tokens are of a new one.

        WrongPassword counts like a failed sign-in: a stolen access token must not allow guessing.
        """
        async with self._pool.acquire() as connection:
            user = await repository.find_user(connection, caller.user_id)
        if user is None or user["email"] is None:
            raise NotFound("This account has no password: it signs in through another service.")
        schemas.check_new_password(body.new_password, user["email"], "/newPassword")
        keys = [account_key(user["email"]), address_key(address)]
        async with self._passwords.turn():
            await self._attempts.check(keys)
            if not await self._passwords.verify(user["password_hash"], body.current_password):
                await self._failed(keys, caller.user_id, user["email"])
                raise WrongPassword
            new_hash = await self._passwords.hash(body.new_password)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(SQL["change_password"], caller.user_id, new_hash, user["password_hash"])
            session = await self._open_session(connection, Credentials(caller.user_id, new_hash))
            if session is None:
                raise WrongPassword
            await record(connection, Kind.PASSWORD_CHANGED, caller.user_id)
        self._identities.forget(caller.user_id)
        await self._attempts.succeeded(account_key(user["email"]))
        return self._tokens_of(session, session.generation, session.advanced_at)

    async def grant(self, connection: Connection, user_id: UUID, shop_id: UUID, role: str) -> None:
        """Give an account a role in a shop, inside the caller's transaction (a shop was created or claimed)."""
        await connection.execute(SQL["grant_membership"], user_id, shop_id, role)
        await connection.execute(SQL["touch_user"], user_id)

    async def revoke_all(self, connection: Connection, shop_id: UUID) -> None:
        """End every role in a shop, inside the caller's transaction (somebody else has claimed it)."""
        await connection.execute(SQL["revoke_all"], shop_id)

    async def _open_session(self, connection: Connection, credentials: Credentials) -> Session | None:
        session = await repository.open_session(
            connection, credentials, life=self._life, access_life=timedelta(seconds=self._access_s)
        )
        if session is not None:
            await record(connection, Kind.LOGIN, session.user_id, {"sessionId": str(session.id)})
        return session

    async def _failed(self, keys: Sequence[str], user_id: UUID | None, email: str) -> None:
        """Count a wrong password and put it on record; the email as a hash, for people mistype passwords into it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._attempts.failed(connection, keys)
            await record(connection, Kind.LOGIN_FAILED, user_id, {"key": account_key(email)})

    def _tokens_of(self, session: Session, generation: int, now: datetime) -> schemas.Tokens:
        return schemas.Tokens(
            access_token=self._tokens.issue_access(
                session.user_id, session.id, session.epoch, now.timestamp()
            ),
            refresh_token=self._tokens.issue_refresh(session.id, generation),
            expires_in=self._access_s,
        )


async def _read_me(connection: Connection, user_id: UUID) -> schemas.Me:
    user = await repository.find_user(connection, user_id)
    if user is None:
        raise NotFound
    shops = await connection.fetch(SQL["list_memberships"], user_id)
    return schemas.Me(
        user_id=user["id"],
        email=user["email"],
        name=user["name"],
        phone=user["phone"],
        role=user["role"],
        shops=[schemas.ShopMembership(shop_id=shop["shop_id"], role=shop["role"]) for shop in shops],
        created_at=user["created_at"],
        version=user["version"],
    )


async def create_admin(pool: Pool, passwords: Passwords, *, email: str, password: str, name: str) -> UUID:
    """Make an administrator; its id. EmailTaken or InvalidRequest when it cannot be."""
    email = schemas.normalised_email(email)
    if not schemas.MIN_PASSWORD_CHARS <= len(password) <= schemas.MAX_PASSWORD_CHARS:
        bounds = f"{schemas.MIN_PASSWORD_CHARS} to {schemas.MAX_PASSWORD_CHARS}"
        message = f"The password must hold {bounds} characters."
        raise InvalidRequest(message, errors=[FieldError("/password", message)])
    schemas.check_new_password(password, email, "/password")
    password_hash = await passwords.hash(password)
    async with pool.acquire() as connection, connection.transaction():
        user_id = await repository.insert_user(
            connection, email=email, password_hash=password_hash, name=name, phone=None, role="admin"
        )
        if user_id is not None:
            await record(connection, Kind.ADMIN_CREATED, user_id)
    if user_id is None:
        raise EmailTaken("An account with this email exists; choose another email for the administrator.")
    return user_id
