"""HTTP as the whole service speaks it: strict bodies, one shape of refusal, nothing of the inside."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.testing import AsyncTestClient

from matcher.errors import FieldError, InvalidRequest, MatcherError, Overloaded, Unauthorized
from matcher.http import (
    RequestContext,
    WireDTO,
    answer,
    expected_version,
    handle_exception,
    idempotency_key,
    json_response,
)
from matcher.paging import Limit
from matcher.serialization import WireStruct
from matcher.transactions import Reply

PROBLEM = {"type", "title", "status", "detail", "code", "instance", "errors"}


class Body(WireStruct):
    part_name: str
    quantity: int = 1


@post("/parts")
async def take(data: JSONBody[Body]) -> Response[Any]:
    return json_response(data, 201)


@get("/fail/{how:str}")
async def fail(how: FromPath[str]) -> None:
    raise {
        "crash": RuntimeError("the password is hunter2"),
        "busy": Overloaded(retry_after_s=7),
        "who": Unauthorized(),
        "field": InvalidRequest(errors=[FieldError("/a/0", "wrong")]),
        "database": ConnectionRefusedError("10.0.0.7:5432"),
        "lock": asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        "extra": MatcherError(extra={"currentVersion": 3}),
        "teapot": HTTPException(status_code=599, detail="hunter2"),
    }[how]


@get("/headers")
async def headers(request: Request[Any, Any, Any]) -> Response[Any]:
    return json_response({"key": idempotency_key(request), "version": expected_version(request)})


@get("/page")
async def page(limit: Limit = 50) -> Response[Any]:
    return json_response(limit)


@get("/reply/{status:int}")
async def reply(status: FromPath[int]) -> Response[Any]:
    return answer(Reply(status, b'{"a":1}', replayed=True), {"ETag": "x"})


@pytest.fixture
async def client() -> AsyncIterator[AsyncTestClient[Litestar]]:
    app = Litestar(
        [take, fail, headers, page, reply],
        dto=WireDTO,
        return_dto=None,
        exception_handlers={
            MatcherError: handle_exception,
            HTTPException: handle_exception,
            Exception: handle_exception,
        },
        request_max_body_size=1_000,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = RequestContext(app.asgi_handler)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/problem+json")
    document: dict[str, Any] = response.json()
    assert set(document) >= PROBLEM
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:matcher:problem:{code}"
    assert document["instance"] == response.headers["x-request-id"]
    return document


async def test_a_good_body_is_taken_by_its_wire_names(client: Any) -> None:
    response = await client.post("/parts", json={"partName": "a"})
    assert (response.status_code, response.json()) == (201, {"partName": "a", "quantity": 1})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"partName": "a", "quantity": "1"}', "/quantity"),
        (b'{"partName": "a", "quantity": 1.5}', "/quantity"),
        (b'{"partName": "a", "quantity": true}', "/quantity"),
        (b'{"partName": 5}', "/partName"),
        (b'{"part_name": "a"}', ""),
        (b'{"partName": "a", "more": 1}', ""),
        (b"[]", ""),
    ],
)
async def test_bodies_are_taken_strictly(client: Any, body: bytes, pointer: str) -> None:
    response = await client.post("/parts", content=body, headers={"content-type": "application/json"})
    assert problem(response, 400, "invalid_request")["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", [b"", b"{", b'{"partName": "\\u0000"}', b'{"partName": "\\ud800"}', b"\xff"])
async def test_bodies_that_are_no_json_for_us_are_refused(client: Any, body: bytes) -> None:
    response = await client.post("/parts", content=body, headers={"content-type": "application/json"})
    problem(response, 400, "invalid_request")


async def test_forms_are_not_taken(client: Any) -> None:
    problem(await client.post("/parts", data={"partName": "a"}), 415, "unsupported_media_type")


async def test_too_large_bodies_are_refused(client: Any) -> None:
    problem(await client.post("/parts", json={"partName": "a" * 2_000}), 413, "payload_too_large")


async def test_unknown_paths_and_methods_have_the_shape(client: Any) -> None:
    problem(await client.get("/nowhere"), 404, "not_found")
    response = await client.delete("/parts")
    problem(response, 405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("how", ["crash", "teapot"])
async def test_a_crash_tells_nothing_of_the_inside(client: Any, how: str) -> None:
    response = await client.get(f"/fail/{how}")
    problem(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text


async def test_refusals_bring_their_headers_and_fields(client: Any) -> None:
    busy = await client.get("/fail/busy")
    problem(busy, 503, "overloaded")
    assert busy.headers["retry-after"] == "7"
    who = await client.get("/fail/who")
    problem(who, 401, "unauthorized")
    assert who.headers["www-authenticate"] == "Bearer"
    field = problem(await client.get("/fail/field"), 400, "invalid_request")
    assert field["errors"] == [{"pointer": "/a/0", "message": "wrong"}]
    assert problem(await client.get("/fail/extra"), 500, "internal_error")["currentVersion"] == 3
    away = await client.get("/fail/database")
    problem(away, 503, "database_unavailable")
    assert "10.0.0.7" not in away.text
    held_up = await client.get("/fail/lock")
    problem(held_up, 503, "overloaded")
    assert held_up.headers["retry-after"] == "1"


@pytest.mark.parametrize("limit", ["0", "201", "many", "-1"])
async def test_query_parameters_are_checked_and_named(client: Any, limit: str) -> None:
    document = problem(await client.get(f"/page?limit={limit}"), 400, "invalid_request")
    assert document["errors"][0]["pointer"] == "/query/limit"
    assert (await client.get("/page?limit=200")).json() == 200


async def test_replayed_replies_say_so(client: Any) -> None:
    fine, refused = await client.get("/reply/200"), await client.get("/reply/409")
    assert fine.headers["idempotency-replayed"] == refused.headers["idempotency-replayed"] == "true"
    assert fine.headers["content-type"].startswith("application/json")
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert fine.headers["etag"] == "x"


@pytest.mark.parametrize("version", ['"3"', "3"])
async def test_versions_and_keys_are_read_from_headers(client: Any, version: str) -> None:
    response = await client.get("/headers", headers={"If-Match": version, "Idempotency-Key": "k" * 255})
    assert response.json() == {"key": "k" * 255, "version": 3}
    assert (await client.get("/headers")).json() == {"key": None, "version": None}


@pytest.mark.parametrize(
    "given",
    [
        {"If-Match": "*"},
        {"If-Match": "-1"},
        {"If-Match": "9" * 19},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "k" * 256},
    ],
)
async def test_bad_versions_and_keys_are_refused(client: Any, given: dict[str, str]) -> None:
    problem(await client.get("/headers", headers=given), 400, "invalid_request")


async def test_a_request_id_is_kept_if_it_can_be_logged_safely(client: Any) -> None:
    kept = await client.get("/page", headers={"X-Request-Id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    for bad in ("x" * 129, "a\tb"):
        ours = await client.get("/page", headers={"X-Request-Id": bad})
        assert ours.headers["x-request-id"] != bad
        assert len(ours.headers["x-request-id"]) == 24
