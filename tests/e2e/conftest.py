"""The service as its users meet it: two API processes and a worker over the test worker's own database."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import redis

from matcher.limits import Limit
from tests.conftest import Servers, cloned_database
from tests.e2e.api import ADMIN_EMAIL, PASSWORD, Account, Api, Town, eventually
from tests.e2e.processes import Child, Service
from tests.e2e.world import World, build_world

# Ended when the last story has been told, not at the end of the run: other tests want the machine for themselves.
_running: list[Service] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the processes after the last test of this folder."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        while _running:
            _running.pop().stop()


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> Iterator[str]:
    """A database of the stories alone: their worker would sweep what other tests write."""
    with cloned_database(servers) as url:
        yield url


@pytest.fixture(scope="session")
def service(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service's surroundings, empty but for an admin; what a test starts is stopped at the end."""
    prefix = f"e2e:{secrets.token_hex(6)}:"
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "MATCHER_REDIS_PREFIX": prefix}
    # Everybody in the stories comes from one address, and nobody rests.
    classes = [limit for limit in Limit if limit is not Limit.NONE]
    environment |= {f"MATCHER_LIMIT_{limit.upper()}_PER_MIN": "100000" for limit in classes}
    service = Service(environment, tmp_path_factory.mktemp("service"))
    made = service.run("users", "create-admin", "--email", ADMIN_EMAIL, admin_password=PASSWORD)
    assert made.returncode == 0, made.stderr
    _running.append(service)
    yield service
    service.stop()
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"{prefix}*", count=1_000):
            client.delete(key)


@pytest.fixture(scope="session")
def process_a(service: Service) -> Child:
    """An API process."""
    return service.serve()


@pytest.fixture(scope="session")
def process_b(service: Service) -> Child:
    """Another API process of the same service."""
    return service.serve()


@pytest.fixture(scope="session")
def working(service: Service) -> Child:
    """A worker."""
    return service.worker()


@pytest.fixture(scope="session")
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
