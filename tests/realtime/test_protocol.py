import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.realtime.close_codes import MAX_REASON_BYTES, Close, CloseCode
from matcher.realtime.protocol import (
    MAX_FRAME_BYTES,
    Ack,
    Connect,
    Protocol,
    Refresh,
    Refuse,
    Request,
)

CONNECT = '{"type": "connect", "token": "t"}'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
near_frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["connect", "request", "ack", "refresh", "event", ""]) | json_values},
    optional={
        name: st.text(max_size=10) | json_values
        for name in ("token", "cursor", "shopId", "ref", "method", "idempotencyKey", "data", "other")
    },
)


def connected() -> Protocol:
    protocol = Protocol()
    protocol.receive(CONNECT)
    return protocol


def request(**fields: Any) -> str:
    return json.dumps({"type": "request", "ref": "1", "method": "mark-seen", "data": {}} | fields)


def test_a_connect_carries_who_and_from_where() -> None:
    shop_id = uuid4()
    frame = {"type": "connect", "token": "t", "cursor": "c", "shopId": str(shop_id)}

    assert Protocol().receive(json.dumps(frame)) == Connect(token="t", cursor="c", shop_id=shop_id)
    assert Protocol().receive('{"type": "connect", "cursor": null}') == Connect()


def test_after_connect_every_client_frame_becomes_its_action() -> None:
    protocol = connected()

    assert protocol.receive(request(data={"a": [1]}, idempotencyKey="k")) == Request(
        "1", "mark-seen", "k", {"a": [1]}, b'{"a": [1]}'
    )
    assert protocol.receive('{"type": "ack", "cursor": "c"}') == Ack(cursor="c")
    assert protocol.receive('{"type": "refresh", "token": "n"}') == Refresh(token="n")


def test_a_request_without_data_has_null() -> None:
    frame = '{"type": "request", "ref": "1", "method": "m"}'

    assert connected().receive(frame) == Request("1", "m", None, None, b"null")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"{}", "Binary frame"),
        ("", "Not JSON"),
        ("{", "Not JSON"),
        ('{"type": "connect"}{}', "Not JSON"),
        ("[]", "Malformed frame"),
        ("{}", "Malformed frame"),
        ('{"type": "subscribe"}', "Malformed frame"),
        ('{"type": "connect", "tokn": "t"}', "Malformed frame"),
        ('{"type": "connect", "token": 5}', "Malformed frame"),
        ('{"type": "connect", "shopId": "five"}', "Malformed frame"),
        ('{"type": "connect", "token": ""}', "Malformed frame"),
        ('{"type": "connect", "token": "a\\u0000"}', "The frame holds an escaped NUL"),
        ('{"type": "connect", "token": "a\x00"}', "The frame holds a NUL"),
        ('{"type": "connect", "token": "\\ud800"}', "The frame holds half of a surrogate"),
        ('{"type": "connect", "token": "\ud800"}', "Not JSON"),
        ('{"type": "ack", "cursor": "c"}', "The first frame must be"),
        (request(), "The first frame must be"),
        (CONNECT.replace('t"}', "x" * MAX_FRAME_BYTES + '"}'), "Frame over 64 KiB"),
        (CONNECT.replace('t"}', "é" * (MAX_FRAME_BYTES // 2) + '"}'), "Frame over 64 KiB"),
        (CONNECT.replace('"t"', "[" * 30_000 + "]" * 30_000), "Malformed frame"),
    ],
)
def test_a_bad_first_frame_ends_the_socket_and_says_why(frame: str | bytes, reason: str) -> None:
    action = Protocol().receive(frame)

    assert isinstance(action, Close)
    assert action.code is CloseCode.BAD_FRAME
    assert action.reason.startswith(reason)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (CONNECT, "Second connect"),
        (request(ref=""), "Malformed frame"),
        (request(ref="r" * 65), "Malformed frame"),
        (request(method="m" * 65), "Malformed frame"),
        (request(data=None).replace("null", "nul"), "Not JSON"),
        (request(data=None).replace("null", "[" * 20_000 + "]" * 20_000), "Not JSON"),
    ],
)
def test_a_bad_later_frame_ends_the_socket_and_says_why(frame: str, reason: str) -> None:
    action = connected().receive(frame)

    assert isinstance(action, Close)
    assert action.reason.startswith(reason)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb"])
def test_a_bad_idempotency_key_is_refused_in_a_reply(key: str) -> None:
    action = connected().receive(request(idempotencyKey=key))

    assert isinstance(action, Refuse)
    assert action.ref == "1"
    assert action.error.status == 400


def test_nothing_is_read_after_the_end() -> None:
    protocol = Protocol()
    assert isinstance(protocol.receive("{"), Close)

    assert protocol.receive(CONNECT) is None


def test_a_frame_of_exactly_64_kib_is_taken() -> None:
    text = request(data="")
    frame = request(data="x" * (MAX_FRAME_BYTES - len(text)))
    assert len(frame) == MAX_FRAME_BYTES

    assert isinstance(connected().receive(frame), Request)


@given(st.lists(st.text() | st.binary() | near_frames.map(json.dumps), max_size=5), st.booleans())
def test_no_sequence_of_frames_raises(frames: list[str | bytes], after_connect: bool) -> None:
    protocol = connected() if after_connect else Protocol()

    for frame in frames:
        action = protocol.receive(frame)
        if isinstance(action, Close):
            assert len(action.reason.encode()) <= MAX_REASON_BYTES


@given(near_frames)
def test_frames_near_the_contract_are_read_or_refused(frame: dict[str, Any]) -> None:
    action = connected().receive(json.dumps(frame))

    if isinstance(action, Request):
        assert action.data == json.loads(json.dumps(frame.get("data")))
        assert set(frame) <= {"type", "ref", "method", "idempotencyKey", "data"}
    elif isinstance(action, Ack):
        assert frame == {"type": "ack", "cursor": action.cursor}
    else:
        assert isinstance(action, (Close, Refuse, Refresh))


def test_uuids_are_read_in_their_canonical_form() -> None:
    shop_id = "0190f3c4-1111-7abc-8def-0123456789ab"

    action = Protocol().receive(f'{{"type": "connect", "shopId": "{shop_id}"}}')

    assert isinstance(action, Connect)
    assert action.shop_id == UUID(shop_id)
