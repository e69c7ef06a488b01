from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from matcher.ids import uuid7
from matcher.notifications import acks
from matcher.notifications.acks import AckBook, RedisAcks
from matcher.realtime.cursor import Cursor, Position
from matcher.redis import create_redis
from matcher.settings import Settings

EPOCH, OTHER = b"the run!", b"another!"
SHOP, PERSON = "shop:1", uuid7()


def at(sequence: int, had: int = 0, epoch: bytes = EPOCH) -> Cursor:
    return Cursor(epoch, 0, Position(7, sequence), had)


async def kept(redis: Redis, prefix: str) -> list[Cursor]:
    found = await RedisAcks(redis, prefix).cursors([(SHOP, PERSON)])
    return found.get((SHOP, PERSON), [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([at(1), at(3), at(2)], at(3)),
        ([at(3, 2), at(3, 1)], at(3, 2)),
        ([at(9), at(1, epoch=OTHER)], at(1, epoch=OTHER)),
    ],
)
async def test_the_newest_ack_of_the_logs_life_is_kept(
    settings: Settings, given: list[Cursor], expected: Cursor
) -> None:
    redis = create_redis(settings.redis_url)
    async with redis:
        book = AckBook(redis, settings.redis_prefix, "a")
        for cursor in given:
            book.on_ack(SHOP, PERSON, cursor)
        assert await kept(redis, settings.redis_prefix) == []
        await book.flush()
        assert await kept(redis, settings.redis_prefix) == [expected]


async def test_an_ack_counts_for_half_a_day_at_least_and_is_forgotten_after_one(settings: Settings) -> None:
    redis = create_redis(settings.redis_url)
    async with redis:
        book = AckBook(redis, settings.redis_prefix, "a", now_s=lambda: 10.5 * acks.BUCKET_S)
        book.on_ack(SHOP, PERSON, at(1))
        await book.flush()
        [key] = [key async for key in redis.scan_iter(f"{settings.redis_prefix}*")]
        assert 0 < await redis.ttl(key) <= 2 * acks.BUCKET_S
        for buckets, expected in ((10.5, [at(1)]), (11.9, [at(1)]), (12.0, [])):
            later = RedisAcks(redis, settings.redis_prefix, now_s=partial(float, buckets * acks.BUCKET_S))
            assert (await later.cursors([(SHOP, PERSON)])).get((SHOP, PERSON), []) == expected


async def test_memory_is_bounded_and_those_known_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks, "WAITING_MAX", 1)
    redis = create_redis(settings.redis_url)
    async with redis:
        book = AckBook(redis, settings.redis_prefix, "a")
        for recipient, cursor in ((SHOP, at(1)), ("shop:2", at(1)), (SHOP, at(2))):
            book.on_ack(recipient, PERSON, cursor)
        await book.flush()
        found = await RedisAcks(redis, settings.redis_prefix).cursors([(SHOP, PERSON), ("shop:2", PERSON)])
    assert found == {(SHOP, PERSON): [at(2)]}


async def test_without_redis_nobody_is_known_to_have_anything() -> None:
    redis: Redis = Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))
    async with redis:
        book = AckBook(redis, "x:", "a")
        book.on_ack(SHOP, PERSON, at(1))
        await book.flush()
        assert await kept(redis, "x:") == []


async def test_what_another_revision_wrote_is_passed_over(settings: Settings) -> None:
    redis: Any = create_redis(settings.redis_url)  # its commands are typed for both its clients
    async with redis:
        book = AckBook(redis, settings.redis_prefix, "a")
        book.on_ack(SHOP, PERSON, at(1))
        await book.flush()
        [key] = [key async for key in redis.scan_iter(f"{settings.redis_prefix}*")]
        await redis.hset(key, f"{PERSON}:a", "no cursor")
        assert await kept(redis, settings.redis_prefix) == []
