from hypothesis import given
from hypothesis import strategies as st

from matcher.realtime import endings
from matcher.realtime.close_codes import MAX_REASON_BYTES, Close, CloseCode, close


@given(st.text())
def test_a_reason_always_fits_into_a_control_frame(text: str) -> None:
    reason = close(CloseCode.BAD_FRAME, text).reason

    assert len(reason.encode()) <= MAX_REASON_BYTES


def test_every_ending_says_what_to_do_and_is_not_cut() -> None:
    written = [value for value in vars(endings).values() if isinstance(value, Close)]

    assert len(written) >= 10
    for ending in written:
        assert ending.reason.endswith(".")
        assert len(ending.reason.encode()) < MAX_REASON_BYTES
