"""The table of a shop's states."""

from typing import get_args

import pytest

from matcher.shops.errors import ShopAlreadyClaimed, ShopStateConflict
from matcher.shops.lifecycle import REVIEWS, Review, Status, check_claimable, check_may_change, reviewed

ALLOWED: set[tuple[Status, Review, Status]] = {
    ("pending_verification", "verify", "active"),
    ("pending_verification", "reject", "rejected"),
    ("active", "suspend", "suspended"),
    ("suspended", "reactivate", "active"),
    ("inactive", "reactivate", "active"),
}


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("review", REVIEWS)
def test_reviews_move_as_the_table_says_and_nowhere_else(status: Status, review: Review) -> None:
    results = [after for before, by, after in ALLOWED if (before, by) == (status, review)]
    if results:
        assert [reviewed(status, review)] == results
    else:
        with pytest.raises(ShopStateConflict) as caught:
            reviewed(status, review)
        assert caught.value.extra == {"shopStatus": status}


def test_no_review_makes_a_shop_unclaimed() -> None:
    assert "unclaimed" not in {after for _, after in REVIEWS.values()}


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_who_may_claim_what(status: Status, imported: bool, own: bool) -> None:
    if status == "unclaimed" or (status == "rejected" and (imported or own)):
        check_claimable(status, imported=imported, own=own)
    else:
        with pytest.raises(ShopAlreadyClaimed):
            check_claimable(status, imported=imported, own=own)


@pytest.mark.parametrize("status", get_args(Status))
def test_only_active_shops_change_themselves(status: Status) -> None:
    if status == "active":
        check_may_change(status)
    else:
        with pytest.raises(ShopStateConflict):
            check_may_change(status)
