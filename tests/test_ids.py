"""Ids that sort by time, and the numbers that people read to each other."""

import re
import threading
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from matcher.ids import created_at, order_number, uuid7


def test_ids_of_one_process_strictly_increase() -> None:
    ids = [uuid7() for _ in range(20_000)]
    assert all(a < b for a, b in pairwise(ids))


def test_ids_of_many_threads_are_different() -> None:
    found: list[UUID] = []
    threads = [threading.Thread(target=lambda: found.extend(uuid7() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8_000


@given(st.integers(0, 2**48 - 1))
def test_an_id_is_version_7_and_tells_its_millisecond(unix_ms: int) -> None:
    identity = uuid7(unix_ms)
    assert (identity.version, identity.variant) == (7, UUID(int=uuid7().int).variant)
    assert identity.int >> 80 == unix_ms


def test_an_id_was_made_now() -> None:
    assert abs((datetime.now(UTC) - created_at(uuid7())).total_seconds()) < 60


def test_an_order_number_is_its_day_and_forty_bits() -> None:
    order_id = UUID("01970a3c-7f1a-7c3e-9d2b-0123456789ab")
    number = order_number(order_id)
    assert number == order_number(order_id)
    assert re.fullmatch(r"CL-250526-[0-9A-HJKMNP-TV-Z]{8}", number)
    assert order_number(UUID(int=order_id.int ^ 1)) != number
    assert order_number(UUID(int=order_id.int | 0xFF_FFFF_FFFF)).endswith("-ZZZZZZZZ")
