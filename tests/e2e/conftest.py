"""The service as its users meet it: two API processes and a worker over the test worker's own database."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import redis

from tests.e2e.api import ADMIN_EMAIL, PASSWORD, Account, Api, Town, eventually
from tests.e2e.processes import Child, Service
from tests.e2e.world import World, build_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker process runs the stories, and its processes are started once."""
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="package")
def service(
    database_url: str, dirty_tables: list[str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service's surroundings, empty but for an admin; what a test starts is stopped at the end."""
    prefix = f"e2e:{secrets.token_hex(6)}:"
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "MATCHER_REDIS_PREFIX": prefix}
    asyncio.run(_empty(database_url, dirty_tables))
    service = Service(environment, tmp_path_factory.mktemp("service"))
    made = service.run("users", "create-admin", "--email", ADMIN_EMAIL, admin_password=PASSWORD)
    assert made.returncode == 0, made.stderr
    yield service
    service.stop()
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"{prefix}*", count=1_000):
            client.delete(key)


@pytest.fixture(scope="package")
def process_a(service: Service) -> Child:
    """An API process."""
    return service.serve()


@pytest.fixture(scope="package")
def process_b(service: Service) -> Child:
    """Another API process of the same service."""
    return service.serve()


@pytest.fixture(scope="package")
def working(service: Service) -> Child:
    """A worker."""
    return service.worker()


@pytest.fixture(scope="package")
def world(process_a: Child) -> World:
    """People, two shops and their orders, made once; tests must leave them as they are."""
    return asyncio.run(build_world(process_a.url))


@pytest.fixture
async def a(process_a: Child) -> AsyncIterator[Api]:
    """A client of the one process."""
    api = Api(process_a.url)
    async with api.http:
        yield api


@pytest.fixture
async def b(process_b: Child) -> AsyncIterator[Api]:
    """A client of the other process."""
    api = Api(process_b.url)
    async with api.http:
        yield api


@pytest.fixture
async def admin(a: Api) -> Account:
    """An administrator."""
    return await a.login(ADMIN_EMAIL)


@dataclass
class Market:
    """A town with shops, known to both processes; the nearest first."""

    town: Town
    shops: list[Account]


@pytest.fixture
async def market(a: Api, b: Api, admin: Account) -> Market:
    """Three shops, 1, 2 and 3 km from the town."""
    town = Town.new()
    places = [town.north(1_000.0 * n) for n in (1, 2, 3)]
    shops = list(await asyncio.gather(*(a.open_shop(admin, place) for place in places)))
    await known(town, shops, a, b)
    return Market(town, shops)


async def known(town: Town, shops: list[Account], *apis: Api) -> None:
    """Wait until each process would ask exactly these shops."""
    wanted = [shop.shop_id for shop in shops]
    for api in apis:
        await eventually(partial(api.near, town), lambda found: found == wanted)


async def _empty(database_url: str, tables: list[str]) -> None:
    connection = await asyncpg.connect(
        database_url, server_settings={"session_replication_role": "replica", "lock_timeout": "10s"}
    )
    try:
        await connection.execute("".join(f"DELETE FROM {table};" for table in tables))
    finally:
        await connection.close()
