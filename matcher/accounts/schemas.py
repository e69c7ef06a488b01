"""Bodies of accounts on the wire, and their bounds. Owns shapes only."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from matcher.errors import FieldError, InvalidRequest
from matcher.serialization import WireStruct

# "Valid e-mail address" of the HTML standard (input type=email), with a dot in the domain. ASCII only, so that
# lower-casing here and in PostgreSQL agree.
_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 200  # more costs hashing time and adds nothing

# 254: the longest address that SMTP can carry (RFC 5321 section 4.5.3.1.3, less the brackets).
EmailText = Annotated[str, Meta(min_length=3, max_length=254, description="Compared without regard to case")]
NewPassword = Annotated[str, Meta(min_length=MIN_PASSWORD_CHARS, max_length=MAX_PASSWORD_CHARS)]
GivenPassword = Annotated[str, Meta(min_length=1, max_length=MAX_PASSWORD_CHARS)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Phone = Annotated[str, Meta(max_length=32, pattern=r"^\+?[0-9][0-9 ().-]{3,30}$")]
StaffRole = Literal["shop_owner", "manager", "cashier", "stock_clerk", "accountant"]


class Register(WireStruct):
    """A new account. `role` says what the person came for; working for a shop comes with onboarding or staff."""

    email: EmailText
    password: NewPassword
    name: Name
    role: Literal["customer", "shop_owner"]
    phone: Phone | None = None


class Login(WireStruct):
    """Sign in with email and password."""

    email: EmailText
    password: GivenPassword


class Refresh(WireStruct):
    """Trade a refresh token for new tokens."""

    refresh_token: Annotated[str, Meta(max_length=512)]


class Logout(WireStruct):
    """End this session, or every session of the account."""

    everywhere: bool = False


class ChangePassword(WireStruct):
    """Every session ends with the old password; the answer holds tokens of a new one."""

    current_password: GivenPassword
    new_password: NewPassword


class UpdateMe(WireStruct):
    """Fields left out stay as they are."""

    name: Name | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET


class AddStaff(WireStruct):
    """Give an existing account a role in the shop."""

    email: EmailText
    role: StaffRole


class Tokens(WireStruct):
    """What a client signs its requests with; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token, not a token


class Registered(Tokens, kw_only=True):
    """The new account and its first tokens."""

    user_id: UUID


class ShopMembership(WireStruct):
    """A shop that an account works for."""

    shop_id: UUID
    role: StaffRole


class Me(WireStruct):
    """The caller's own account."""

    user_id: UUID
    email: str | None
    name: str
    phone: str | None
    role: Literal["customer", "shop_owner", "admin"]
    shops: list[ShopMembership]
    created_at: datetime
    version: int


class StaffMember(WireStruct):
    """One person who works in a shop."""

    user_id: UUID
    name: str
    email: str | None
    role: StaffRole
    created_at: datetime


def normalised_email(text: str) -> str:
    """The form that accounts are found by: lower case. InvalidRequest when it is not an address."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InvalidRequest(errors=[FieldError("/email", "write an address such as name@example.com")])
    return email


def check_new_password(password: str, email: str, pointer: str) -> None:
    """InvalidRequest for a password that is the account's own address."""
    if password.strip().lower() == email:
        raise InvalidRequest(errors=[FieldError(pointer, "the password must differ from the email")])
