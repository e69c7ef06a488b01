"""The shop's states and who moves it between them. Pure.

    unclaimed -> pending_verification -> active <-> suspended
                        |  ^
                        v  |  (claimed again)
                      rejected

`inactive` is a shop that operations took out and may reactivate. A pause is no state: an active shop names the
time until which it pauses (`paused_until`), which ends by itself. The database knows a status `paused`; nothing
writes it.
"""

from typing import Literal, TypeAlias

from matcher.shops.errors import ShopAlreadyClaimed, ShopStateConflict

Status: TypeAlias = Literal[
    "unclaimed", "pending_verification", "active", "suspended", "paused", "inactive", "rejected"
]
Review: TypeAlias = Literal["verify", "reject", "suspend", "reactivate"]

REVIEWS: dict[Review, tuple[frozenset[Status], Status]] = {
    "verify": (frozenset({"pending_verification"}), "active"),
    "reject": (frozenset({"pending_verification"}), "rejected"),
    "suspend": (frozenset({"active"}), "suspended"),
    "reactivate": (frozenset({"suspended", "inactive"}), "active"),
}

# What the public sees: shops that take orders, and imported ones that wait for their owner.
LISTED: frozenset[Status] = frozenset({"active", "unclaimed"})


def reviewed(status: Status, review: Review) -> Status:
    """The status after an admin's review. Raises ShopStateConflict, which names the present status."""
    allowed, result = REVIEWS[review]
    if status not in allowed:
        raise ShopStateConflict(
            f"This shop is {status}; to {review} it, it must be {' or '.join(sorted(allowed))}.",
            extra={"shopStatus": status},
        )
    return result


def check_claimable(status: Status, *, imported: bool, own: bool) -> None:
    """Raises ShopAlreadyClaimed unless the caller may take the shop over.

    A rejected claim frees an imported shop for anybody, so that a false claim cannot lock its owner out; a shop
    that its owner had entered stays with the owner.
    """
    if status == "unclaimed" or (status == "rejected" and (imported or own)):
        return
    raise ShopAlreadyClaimed


def check_may_change(status: Status) -> None:
    """Raises ShopStateConflict unless the shop's own people may change it: active shops only."""
    if status != "active":
        raise ShopStateConflict(
            f"A shop changes itself while it is active; this one is {status}.", extra={"shopStatus": status}
        )
