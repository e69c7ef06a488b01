"""Pages and their opaque cursors."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import InvalidCursor
from matcher.paging import decode_cursor, encode_cursor, page_of


@given(st.uuids())
def test_a_cursor_comes_back_as_the_id_it_stands_for(last_id: UUID) -> None:
    cursor = encode_cursor(last_id)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor) == last_id


@given(st.text(max_size=64))
def test_whatever_is_no_cursor_is_refused(text: str) -> None:
    try:
        found = decode_cursor(text)
    except InvalidCursor:
        return
    assert found is not None
    assert encode_cursor(found)[:21] == text[:21] or not text.isascii()


def test_the_first_page_has_no_cursor() -> None:
    assert decode_cursor(None) is None


@pytest.mark.parametrize(
    ("found", "shown", "more"), [(0, 0, False), (2, 2, False), (3, 3, False), (4, 3, True)]
)
def test_the_row_too_many_only_tells_that_there_is_a_next_page(found: int, shown: int, more: bool) -> None:
    rows = [UUID(int=n) for n in range(found)]
    page = page_of(rows, 3, str, lambda row: row)
    assert page.items == [str(row) for row in rows[:shown]]
    assert page.next_cursor == (encode_cursor(rows[2]) if more else None)
