import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.throttling import FLOOD_BURSTS, TokenBucket, Verdict

GAPS_S = st.lists(st.floats(0.0, 5.0), max_size=200)


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    bucket = TokenBucket(10.0, 20.0, 0.0)

    assert [bucket.charge(0.0) for _ in range(20)] == [Verdict.ALLOW] * 20
    assert bucket.charge(0.0) is Verdict.REFUSE
    assert bucket.charge(bucket.wait_s) is Verdict.ALLOW


def test_a_loop_of_refused_requests_becomes_a_flood() -> None:
    bucket = TokenBucket(10.0, 20.0, 0.0)

    verdicts = [bucket.charge(0.0) for _ in range(20 + 20 * FLOOD_BURSTS + 1)]

    assert verdicts[-2] is Verdict.REFUSE
    assert verdicts[-1] is Verdict.FLOOD


def test_waiting_pays_every_debt() -> None:
    bucket = TokenBucket(10.0, 20.0, 0.0)
    for _ in range(1_000):
        bucket.charge(0.0)

    assert [bucket.charge(1_000.0) for _ in range(20)] == [Verdict.ALLOW] * 20


def test_refusals_of_take_cost_nothing() -> None:
    bucket = TokenBucket(10.0, 2.0, 0.0)
    assert [bucket.take(0.0) for _ in range(1_000)] == [True, True] + [False] * 998
    assert bucket.wait_s == pytest.approx(0.1)
    assert bucket.take(0.1 + 1e-9)


def test_it_tells_what_is_left_and_when_all_is_back() -> None:
    bucket = TokenBucket(10.0, 20.0, 0.0)
    for _ in range(5):
        bucket.take(0.0)

    assert bucket.remaining == 15
    assert bucket.full_in_s == pytest.approx(0.5)


def test_a_clock_that_steps_back_gives_nothing_twice() -> None:
    bucket = TokenBucket(1.0, 1.0, 100.0)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


def test_places_in_the_queue_come_one_after_the_other() -> None:
    bucket = TokenBucket(10.0, 2.0, 0.0)
    waits_s = [bucket.reserve(0.0, 0.35) for _ in range(7)]

    assert waits_s[:5] == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.3])
    assert waits_s[5:] == [None, None]
    assert bucket.reserve(0.1, 0.35) == pytest.approx(0.3), "what was refused took no place"


@given(GAPS_S)
def test_charge_never_allows_more_than_burst_and_rate(gaps_s: list[float]) -> None:
    bucket, now_s, allowed = TokenBucket(2.0, 4.0, 0.0), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        allowed += bucket.charge(now_s) is Verdict.ALLOW

    assert allowed <= 4.0 + 2.0 * now_s + 1e-6


@given(GAPS_S)
def test_take_allows_as_much_as_burst_and_rate_and_no_more(gaps_s: list[float]) -> None:
    bucket, now_s, allowed = TokenBucket(2.0, 4.0, 0.0), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        taken = bucket.take(now_s)
        assert taken or bucket.wait_s > 0.0
        allowed += taken

    assert allowed <= 4.0 + 2.0 * now_s + 1e-6


@given(GAPS_S, st.floats(0.0, 10.0))
def test_reserved_places_keep_the_rate_and_the_longest_wait(gaps_s: list[float], wait_max_s: float) -> None:
    bucket, now_s, starts_s = TokenBucket(2.0, 4.0, 0.0), 0.0, list[float]()
    for gap_s in gaps_s:
        now_s += gap_s
        wait_s = bucket.reserve(now_s, wait_max_s)
        if wait_s is not None:
            assert wait_s <= wait_max_s
            starts_s.append(now_s + wait_s)

    assert starts_s == sorted(starts_s)
    for first, later in zip(starts_s, starts_s[5:], strict=False):
        assert later - first >= 0.5 - 1e-6, "six starts are a burst of four and two more at two a second"
