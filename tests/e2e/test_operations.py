"""What operators meet: several processes behind one port, metrics, logs, readiness, the API page, configuration."""

import asyncio
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.api import Api, Town, eventually, order_body, problem
from tests.e2e.conftest import Market
from tests.e2e.processes import Child, Service
from tests.e2e.sockets import open_socket

GOING_AWAY = 4000
# The list: orders, dispatches, match time, sockets, log lag, pool use, job outcomes.
PROMISED = {
    "matcher_http_requests",
    "matcher_http_request_seconds",
    "matcher_orders",
    "matcher_dispatches",
    "matcher_quotes",
    "matcher_match_seconds",
    "matcher_sockets",
    "matcher_log_lag_seconds",
    "matcher_pool_connections",
    "matcher_batch_orders",
    "matcher_index_sites",
}


@pytest.fixture(scope="module")
def two_processes(service: Service) -> Child:
    """Two API processes behind one port."""
    return service.serve("--workers", "2")


@pytest.fixture
async def both(two_processes: Child) -> AsyncIterator[Api]:
    api = Api(two_processes.url)
    async with api.http:
        yield api


async def metrics_of(url: str) -> dict[str, dict[str, float]]:
    """Family -> sample with its labels -> value, as Prometheus reads them."""
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{url}/metrics")
    assert page.status_code == 200
    return {
        family.name: {
            f"{sample.name}{sorted(sample.labels.items())}": sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(page.text)
    }


async def test_the_promised_metrics_are_there_and_move(a: Api, market: Market) -> None:
    customer = await a.register()
    before = await metrics_of(a.url)
    async with open_socket(a, customer):
        await a.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        after = await metrics_of(a.url)
    assert after.keys() >= PROMISED
    asked = "matcher_dispatches_total[('wave', '1')]"
    assert after["matcher_dispatches"][asked] == before["matcher_dispatches"].get(asked, 0) + 3
    timed = "matcher_match_seconds_count[]"
    assert after["matcher_match_seconds"][timed] > before["matcher_match_seconds"][timed]
    opened = "matcher_sockets[('recipient', 'user')]"
    assert after["matcher_sockets"][opened] == before["matcher_sockets"].get(opened, 0) + 1
    # Labels are path templates: an id in one would make a series of its own.
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", str(after["matcher_http_requests"]))


async def test_a_workers_metrics_tell_the_outcomes_of_its_jobs(service: Service) -> None:
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    # A queue of its own: each tick of a task runs on one worker only, and another one works here too.
    own = service.environment["MATCHER_REDIS_PREFIX"] + "alone:"
    worker = service.worker(worker_metrics_port=port, redis_prefix=own)
    done = "matcher_jobs_total[('job', 'expire-orders'), ('outcome', 'done')]"
    await eventually(
        partial(metrics_of, f"http://127.0.0.1:{port}"),
        lambda found: bool(found.get("matcher_jobs", {}).get(done)),
        within_s=20,
    )
    assert await asyncio.to_thread(worker.stop) == 0


async def test_two_processes_behind_one_port_tell_one_sum(both: Api, two_processes: Child) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=both.url, trust_env=False) as client:
            assert (await client.get("/api/v1/vehicle-makes")).status_code == 200

    await asyncio.gather(*(ask() for _ in range(40)))
    sample = (
        "matcher_http_requests_total[('method', 'GET'), ('path', '/api/v1/vehicle-makes'), ('status', '200')]"
    )
    assert {(await metrics_of(both.url))["matcher_http_requests"][sample] for _ in range(6)} == {40.0}
    assert len(set(re.findall(r"Started server process \[(\d+)\]", two_processes.output()))) == 2


async def test_a_signal_stops_every_process_behind_the_port(service: Service, a: Api) -> None:
    child = service.serve("--workers", "2")
    account = await a.register()
    api = Api(child.url)
    async with api.http, open_socket(api, account) as one, open_socket(api, account) as two:
        child.wait_for_output(
            r"(?s)(Started server process.*){2}"
        )  # one of them answers before both have begun
        processes = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", child.output())]
        child.process.terminate()
        assert await one.close_code() == GOING_AWAY
        assert await two.close_code() == GOING_AWAY
        assert await asyncio.to_thread(child.stop) == 0
    assert len(processes) == 2
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_log_lines_are_json_and_carry_the_request_id(service: Service) -> None:
    child = service.serve(log_level="debug")
    identifier = f"trace-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=child.url, trust_env=False) as client:
        answer = await client.get("/api/v1/nothing", headers={"X-Request-Id": identifier})
        problem(answer, 404, "not_found")
        assert answer.headers["x-request-id"] == identifier
        made = await client.get("/api/v1/health", headers={"X-Request-Id": "x" * 200})
        assert re.fullmatch(r"[0-9a-f]{24}", made.headers["x-request-id"])
    assert child.stop() == 0
    first, *lines = child.output().splitlines()
    assert first.startswith("Listening on")
    entries = [json.loads(line) for line in lines]
    assert all({"event", "level", "at", "process"} <= entry.keys() for entry in entries)
    (logged,) = [entry for entry in entries if entry.get("request_id") == identifier]
    assert (logged["event"], logged["path"], logged["status"]) == ("request", "/api/v1/nothing", 404)


async def test_readiness_names_what_is_missing(service: Service) -> None:
    # A port that nobody listens on: Redis is away, orders go on.
    degraded = Service(
        service.environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}, service.folder / "degraded"
    )
    degraded.folder.mkdir()
    try:
        url = degraded.serve(accept="degraded").url
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            ready = await client.get("/api/v1/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["missing"] == ["redis"]
            assert (await client.get("/api/v1/health")).json() == {"status": "ok"}
        api = Api(url)
        async with api.http:
            customer = await api.register()
            order = await api.do("POST", "/auto-parts-orders", order_body(Town(0.0, 0.0)), customer)
            assert order["status"] == "submitted"
    finally:
        degraded.stop()


async def test_the_api_page_and_all_its_parts_come_from_us(a: Api) -> None:
    page = await a.http.get("/schema")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    parts = [address for address in addresses if not address.startswith("data:")]
    assert len(parts) >= 3
    for address in parts:
        assert address.startswith("/"), "the page must work without the internet"
        part = await a.http.get(address)
        assert part.status_code == 200
        assert len(part.content) > 1_000
    assert not re.findall(r"url\((?!['\"]?data:)", page.text)
    document = await a.http.get("/schema/openapi.json")
    assert document.json()["openapi"].startswith("3.1")
    assert (await a.http.get("/schema-assets/nothing.js")).status_code == 404


async def test_metrics_from_outside_need_the_token(service: Service) -> None:
    child = service.serve(metrics_token="a token for metrics only")
    async with httpx.AsyncClient(base_url=child.url, trust_env=False) as client:
        problem(await client.get("/metrics"), 403, "forbidden")
        wrong = await client.get("/metrics", headers={"Authorization": "Bearer a token"})
        assert wrong.status_code == 403
        right = await client.get("/metrics", headers={"Authorization": "Bearer a token for metrics only"})
        assert right.status_code == 200
    assert child.stop() == 0


def test_the_configuration_is_listed_within_80_columns_and_without_secrets(service: Service) -> None:
    shown = service.run("config")
    assert shown.returncode == 0
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    assert "MATCHER_ORDER_OPEN_S" in shown.stdout
    assert service.environment["DATABASE_URL"].split(":")[2].split("@")[0] not in shown.stdout


def test_wrong_configuration_stops_at_the_start_in_one_line(service: Service) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"port": "many"}, "MATCHER_PORT"),
        ({"prot": "80"}, "MATCHER_PROT"),
        ({"env": "production"}, "MATCHER_JWT_SECRET"),
        ({"env": "production", "jwt_secret": "k" * 40, "limits": "off"}, "MATCHER_LIMITS"),
        ({"host": "0.0.0.0"}, "MATCHER_JWT_SECRET"),  # noqa: S104  refused, which is the point
    ]
    for settings, named in wrong:
        failed = service.run("serve", **settings)
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1
        assert named in failed.stderr
