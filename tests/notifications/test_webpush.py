"""Web push against a push service on loopback that checks the sender and reads the message with the browser's key."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from matcher.notifications.channel import Gone, Rejected, Retry, Sent
from matcher.notifications.rules import MAX_BODY_CHARS, MAX_TITLE_CHARS
from matcher.notifications.webpush import WebPushChannel, payload
from matcher.notifications.webpush_crypto import MAX_PLAINTEXT_BYTES
from tests.notifications.certificates import certificate
from tests.notifications.factories import ORDER_ID, SHOP_ID, message
from tests.notifications.push_service import SUBJECT, PushService, open_push_service
from tests.notifications.web import Answer


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with open_push_service() as service:
        yield service


@asynccontextmanager
async def open_channel(service: PushService, **options: Any) -> AsyncIterator[WebPushChannel]:
    channel = WebPushChannel(service.vapid, SUBJECT, **{"timeout_s": 5.0, "allow_private": True} | options)
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture
async def channel(service: PushService) -> AsyncIterator[WebPushChannel]:
    async with open_channel(service) as channel:
        yield channel


async def test_a_browser_reads_what_was_sent_to_it(service: PushService, channel: WebPushChannel) -> None:
    browser, subscription = service.subscribe()
    assert await channel.send(subscription, message()) == Sent()
    [received] = browser.received
    assert msgspec.json.decode(received) == {
        "title": "New parts order",
        "body": "Toyota Corolla 2018: 2 parts, 1.3 km away",
        "data": {"type": "new-parts-order", "orderId": ORDER_ID, "shopId": SHOP_ID},
    }
    [request] = service.requests
    assert (request.headers["ttl"], request.headers["urgency"]) == ("7200", "high")


async def test_news_of_the_same_thing_share_a_topic_so_that_the_newer_replaces_the_older(
    service: PushService, channel: WebPushChannel
) -> None:
    _, subscription = service.subscribe()
    for topic in ("order-1", "order-1", "order-2"):
        await channel.send(subscription, message(topic=topic, urgent=False))
    first, second, other = (request.headers["topic"] for request in service.requests)
    assert first == second != other
    assert service.requests[0].headers["urgency"] == "normal"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404), Gone()),
        (Answer(410, b"expired"), Gone()),
        (Answer(202), Sent()),
        (Answer(429, b"slow down", {"Retry-After": "30"}), Retry("429 slow down", 30.0)),
        (Answer(500), Retry("500")),
        (Answer(503, b"busy"), Retry("503 busy")),
        (Answer(400, b"bad"), Rejected("400 bad")),
        (Answer(403, b"no"), Rejected("403 no")),
        (Answer(413), Rejected("413")),
        (Answer(raw=b"garbage\r\n\r\n"), None),
        (Answer(raw=b""), None),
    ],
)
async def test_each_answer_has_its_outcome(
    service: PushService, channel: WebPushChannel, answer: Answer, expected: object
) -> None:
    _, subscription = service.subscribe()
    service.answers = [answer]
    outcome = await channel.send(subscription, message())
    assert isinstance(outcome, Retry) if expected is None else outcome == expected


async def test_a_redirect_is_not_followed(service: PushService, channel: WebPushChannel) -> None:
    _, subscription = service.subscribe()
    service.answers = [Answer(307, b"", {"Location": f"{service.origin}/push/elsewhere"})]
    assert await channel.send(subscription, message()) == Rejected("307")
    assert len(service.requests) == 1


async def test_a_service_that_does_not_answer_is_given_up_for_now(service: PushService) -> None:
    _, subscription = service.subscribe()
    service.answers = [Answer(hang=True)]
    async with open_channel(service, timeout_s=0.2) as channel:
        assert await channel.send(subscription, message()) == Retry("no answer within 0.2 s")


async def test_little_is_read_of_an_endless_answer(service: PushService, channel: WebPushChannel) -> None:
    _, subscription = service.subscribe()
    service.answers = [Answer(400, b"x" * 1_000_000, {"Content-Length": "100000000"})]
    outcome = await channel.send(subscription, message())
    assert outcome == Rejected(("400 " + "x" * 300)[:300])


async def test_an_address_that_became_private_is_not_called(service: PushService) -> None:
    _, subscription = service.subscribe()

    async def rebound(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    public = subscription.replace(service.origin, "https://push.example")
    async with open_channel(service, allow_private=False, lookup=rebound) as channel:
        outcome = await channel.send(public, message())
        plain = await channel.send(subscription, message())
    assert outcome == Rejected("subscription: its endpoint must not lead into a private network")
    assert isinstance(plain, Rejected)
    assert service.requests == []


async def test_a_name_that_cannot_be_resolved_is_tried_later(service: PushService) -> None:
    _, subscription = service.subscribe()

    async def fails(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with open_channel(service, lookup=fails) as channel:
        assert isinstance(await channel.send(subscription, message()), Retry)


async def test_the_next_address_is_tried_when_one_cannot_be_reached(service: PushService) -> None:
    browser, subscription = service.subscribe()

    async def two(host: str, port: int) -> Sequence[str]:
        return ["::1", "127.0.0.1"]  # nothing listens at the first

    async with open_channel(service, lookup=two) as channel:
        assert await channel.send(subscription, message()) == Sent()
    assert len(browser.received) == 1


@pytest.mark.parametrize("address", ["", "{}", '{"endpoint": "https://a.example/", "keys": {}}', "no key"])
async def test_what_is_no_subscription_is_rejected(channel: WebPushChannel, address: str) -> None:
    if address == "no key":
        keys = {"p256dh": "AAAA", "auth": "AAAA"}
        address = msgspec.json.encode({"endpoint": "https://a.example/", "keys": keys}).decode()
    assert isinstance(await channel.send(address, message()), Rejected)


@pytest.mark.parametrize("character", ["x", "й", "\x01", "😀"])
def test_the_longest_text_fits_one_record(character: str) -> None:
    longest = message(title=character * MAX_TITLE_CHARS, body=character * MAX_BODY_CHARS)
    assert len(payload(longest)) <= MAX_PLAINTEXT_BYTES


async def test_a_message_that_does_not_fit_is_rejected(service: PushService, channel: WebPushChannel) -> None:
    _, subscription = service.subscribe()
    assert isinstance(await channel.send(subscription, message(body="x" * 4096)), Rejected)
    assert service.requests == []


# TLS: the connection goes to the address that was resolved, the certificate must be the name's.


@pytest.mark.parametrize(("name", "expected"), [("push.example", Sent), ("other.example", Retry)])
async def test_the_certificate_must_be_the_names(tmp_path: Path, name: str, expected: type[object]) -> None:
    path = certificate(tmp_path, name)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    seen: list[str | None] = []
    tls.sni_callback = lambda _, server_name, __: seen.append(server_name)

    async def here(host: str, port: int) -> Sequence[str]:
        assert host == "push.example"
        return ["127.0.0.1"]

    async with open_push_service(tls=tls) as service:
        browser, subscription = service.subscribe()
        trusted = ssl.create_default_context(cafile=str(path))
        async with open_channel(service, lookup=here, tls=trusted) as channel:
            assert isinstance(await channel.send(subscription, message()), expected)
    assert seen == ["push.example"]
    assert bool(browser.received) is (expected is Sent)
