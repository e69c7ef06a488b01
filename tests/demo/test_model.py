"""The model of a client: the highest version wins, snapshots replace, contradictions are found."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matcher.demo.model import Key, Model, View, differences, open_views, views_in


def event(entity: str, entity_id: str, version: int, **data: Any) -> dict[str, Any]:
    return {
        "type": "event",
        "entity": entity,
        "version": version,
        "data": {"id": entity_id, "version": version, **data},
    }


def test_an_older_event_changes_nothing() -> None:
    model = Model("user:1")
    assert model.apply_event(event("order", "a", 3, status="cancelled"))
    assert not model.apply_event(event("order", "a", 2, status="submitted"))
    found = model.find("order", "a")
    assert found is not None
    assert found["status"] == "cancelled"
    assert model.frames == 2


@given(st.permutations([1, 2, 3, 4, 4, 2]))
def test_any_order_of_events_gives_the_same_state(versions: list[int]) -> None:
    model = Model("user:1")
    for version in versions:
        model.apply_event(event("order", "a", version, status=f"s{version}"))
    assert model.held == {Key("order", "a"): View(4, {"id": "a", "version": 4, "status": "s4"})}
    assert model.contradictions == []


def test_two_views_of_one_version_are_a_contradiction() -> None:
    model = Model("user:1")
    model.apply_event(event("order", "a", 1, status="submitted"))
    model.apply_event(event("order", "a", 1, status="quoted"))
    assert model.contradictions == ["user:1: order a has two views of version 1"]


def test_a_frame_and_its_data_that_name_different_versions_are_a_contradiction() -> None:
    model = Model("user:1")
    frame = event("order", "a", 1, status="submitted")
    frame["version"] = 2
    model.apply_event(frame)
    assert len(model.contradictions) == 1


def test_a_snapshot_drops_open_entities_and_remembers_closed_ones() -> None:
    model = Model("user:1")
    model.apply_event(event("order", "open", 1, status="submitted"))
    model.apply_event(event("quote", "q", 1, status="active", orderId="open"))
    model.apply_event(event("order", "closed", 4, status="expired"))
    model.apply_snapshot({"orders": [{"id": "new", "version": 1, "status": "submitted"}], "quotes": []})
    assert model.find("order", "open") is None
    assert model.find("quote", "q") is None
    assert not model.apply_event(event("order", "closed", 3, status="submitted"))
    assert set(model.held) == {Key("order", "new"), Key("order", "closed")}


def test_further_parts_of_a_snapshot_add() -> None:
    model = Model("user:1")
    model.apply_snapshot({"orders": [{"id": "a", "version": 1, "status": "submitted"}]})
    model.extend_snapshot({"orders": [{"id": "b", "version": 1, "status": "submitted"}]})
    assert {key.id for key in model.held} == {"a", "b"}


def test_open_views_are_what_a_snapshot_lists() -> None:
    model = Model("shop:1")
    for name, status, order_status in (
        ("pending", "pending", "open"),
        ("declined", "declined", "open"),
        ("closed", "closed", "closed"),
        ("won", "won", "shipped"),
        ("delivered", "won", "delivered"),
    ):
        model.apply_event(event("dispatch", name, 1, status=status, orderStatus=order_status))
        model.apply_event(event("quote", f"q-{name}", 1, status="active", orderId=name))
    assert {key.id for key in open_views(model.held)} == {"pending", "won", "q-pending", "q-won"}


def test_a_state_equal_to_the_snapshot_has_no_differences() -> None:
    model = Model("user:1")
    order = {"id": "a", "version": 2, "status": "quoted"}
    quote = {"id": "q", "version": 2, "status": "active", "orderId": "a"}
    model.apply_event(event("order", "a", 2, status="quoted"))
    model.apply_event(event("quote", "q", 2, status="active", orderId="a"))
    model.apply_event(event("order", "old", 5, status="delivered"))
    fresh = dict(views_in({"orders": [order], "quotes": [quote], "notifications": []}))
    assert differences(model.held, fresh) == []


def test_each_kind_of_difference_is_named() -> None:
    held = {
        Key("order", "only-held"): View(1, {"status": "submitted"}),
        Key("order", "older"): View(1, {"status": "submitted"}),
        Key("order", "other"): View(1, {"status": "submitted"}),
        Key("order", "closed"): View(1, {"status": "expired"}),
    }
    fresh = {
        Key("order", "never-told"): View(1, {"status": "submitted"}),
        Key("order", "older"): View(2, {"status": "submitted"}),
        Key("order", "other"): View(1, {"status": "quoted"}),
        Key("order", "closed"): View(1, {"status": "expired"}),
        Key("notification", "n"): View(1, {}),
    }
    assert differences(held, fresh) == [
        "order closed is closed but in the fresh snapshot",
        "order never-told is in the fresh snapshot but was never told",
        "order older is held at version 1, stored at 2",
        "order only-held is held but not in the fresh snapshot",
        "order other version 1 differs in status",
    ]


def test_quotes_are_listed_by_order_and_status() -> None:
    model = Model("user:1")
    model.apply_event(event("quote", "q1", 1, status="active", orderId="a"))
    model.apply_event(event("quote", "q2", 1, status="withdrawn", orderId="a"))
    model.apply_event(event("quote", "q3", 1, status="active", orderId="b"))
    assert [quote["id"] for quote in model.list_quotes("a", "active")] == ["q1"]


def test_a_digest_does_not_depend_on_the_order_of_members() -> None:
    model = Model("user:1")
    model.apply_event({"entity": "order", "version": 1, "data": {"id": "a", "status": "x", "version": 1}})
    model.apply_event({"entity": "order", "version": 1, "data": {"version": 1, "status": "x", "id": "a"}})
    assert model.contradictions == []
    assert model.digest_of(Key("order", "a"), 1) is not None
    assert model.digest_of(Key("order", "a"), 2) is None
