from hypothesis import given
from hypothesis import strategies as st

from matcher.realtime.cursor import MAX_CURSOR_CHARS, NOWHERE, Cursor, Position, parse_cursor

cursors = st.builds(
    Cursor,
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**16 - 1),
    st.builds(Position, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    st.integers(0, 999_999_999),
)


@given(cursors)
def test_a_cursor_survives_its_text(cursor: Cursor) -> None:
    text = str(cursor)

    assert parse_cursor(text) == cursor
    assert len(text) <= MAX_CURSOR_CHARS


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{36}\.[0-9]{1,9}", fullmatch=True))
def test_no_text_raises_and_what_is_taken_is_canonical(text: str) -> None:
    cursor = parse_cursor(text)

    assert cursor is None or str(cursor) == text


def test_nowhere_is_a_cursor_like_any_other() -> None:
    assert parse_cursor(str(NOWHERE)) == NOWHERE


def test_other_formats_are_not_ours() -> None:
    text = str(NOWHERE)

    assert parse_cursor("B" + text[1:]) is None  # another format number
    assert parse_cursor(text.replace(".0", ".00")) is None
    assert parse_cursor(text + "\n") is None
    assert parse_cursor(text.replace(".0", ".٠")) is None  # a digit, but not an ASCII one
