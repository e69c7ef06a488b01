from hypothesis import given
from hypothesis import strategies as st

from matcher.realtime.throttle import FLOOD_BURSTS, Throttle, Verdict


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    throttle = Throttle(10.0, 20.0, 0.0)

    assert [throttle.take(0.0) for _ in range(20)] == [Verdict.ALLOW] * 20
    assert throttle.take(0.0) is Verdict.REFUSE
    assert throttle.take(throttle.retry_after_s) is Verdict.ALLOW


def test_a_loop_of_refused_requests_becomes_a_flood() -> None:
    throttle = Throttle(10.0, 20.0, 0.0)

    verdicts = [throttle.take(0.0) for _ in range(20 + 20 * FLOOD_BURSTS + 1)]

    assert verdicts[-2] is Verdict.REFUSE
    assert verdicts[-1] is Verdict.FLOOD


def test_waiting_pays_every_debt() -> None:
    throttle = Throttle(10.0, 20.0, 0.0)
    for _ in range(1_000):
        throttle.take(0.0)

    assert [throttle.take(1_000.0) for _ in range(20)] == [Verdict.ALLOW] * 20


@given(st.lists(st.floats(0.0, 5.0), max_size=200))
def test_never_more_than_burst_and_rate_are_allowed(gaps_s: list[float]) -> None:
    throttle, now_s, allowed = Throttle(2.0, 4.0, 0.0), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        allowed += throttle.take(now_s) is Verdict.ALLOW

    assert allowed <= 4.0 + 2.0 * now_s + 1e-6
