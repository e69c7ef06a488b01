"""What counts as recovery after a kill: only what was sent or happened since, and concerns what was killed."""

from matcher.chaos.watch import Kill, Watch

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


def killed(**changes: object) -> tuple[Watch, Kill]:
    watch = Watch()
    kill = Kill(**({"component": "redis", "at_s": 100.0} | changes))  # type: ignore[arg-type]  # by name
    watch.record_kill(kill)
    return watch, kill


def times(kill: Kill) -> tuple[float | None, float | None]:
    return kill.request_s, kill.event_s


def test_a_request_sent_before_the_kill_proves_nothing() -> None:
    watch, kill = killed()
    watch.record_answer(A, 99.9, 100.5)
    assert kill.request_s is None
    watch.record_answer(B, 100.5, 101.0)
    watch.record_answer(B, 101.0, 109.0)
    assert kill.request_s == 1.0


def test_after_an_api_process_only_its_own_answers_and_its_listeners_count() -> None:
    watch, kill = killed(component="api", origin=A, listeners=frozenset({"shop:1"}))
    watch.record_answer(B, 101.0, 101.5)
    watch.record_event("shop:2", 101.0, expired=False, now_s=101.5)
    assert times(kill) == (None, None)
    watch.record_answer(A, 102.0, 103.0)
    watch.record_event("shop:1", 102.0, expired=False, now_s=104.0)
    assert times(kill) == (3.0, 4.0)
    assert kill.is_over


def test_a_worker_is_back_when_somebody_hears_of_an_expiry() -> None:
    watch, kill = killed(component="worker", by_expiry=True)
    watch.record_event("user:1", 101.0, expired=False, now_s=101.0)
    watch.record_answer(A, 101.0, 101.0)
    assert times(kill) == (None, None)
    watch.record_event("user:1", 99.0, expired=True, now_s=101.0)  # it happened before, and came late
    assert times(kill) == (None, None)
    watch.record_event("user:1", 102.0, expired=True, now_s=102.5)
    assert times(kill) == (None, 2.5)


def test_of_each_component_the_latest_kill_is_waited_for() -> None:
    watch, first = killed()
    second = Kill(component="redis", at_s=110.0)
    watch.record_kill(second)
    watch.record_answer(A, 111.0, 112.0)
    assert (first.request_s, second.request_s) == (None, 2.0)
    assert watch.kills == [first, second]


def test_failures_count_against_a_rolling_restart_only_while_one_goes_on() -> None:
    watch = Watch()
    watch.record_failure(A, "ConnectError")
    watch.rolling = True
    watch.record_failure(B, "503 overloaded", 0.25)
    watch.rolling = False
    watch.record_failure(A, "ConnectError")
    assert watch.rolling_failures == [f"503 overloaded at {B} after 0.25 s"]
    assert watch.failures == {"ConnectError": 2, "503 overloaded": 1}
