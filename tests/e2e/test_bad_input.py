"""Whatever is sent, the answer is a problem with a stable code, nothing is half-written, and nothing crashes."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import jwt
import pytest
from websockets.exceptions import ConnectionClosed

from matcher.settings import DEVELOPMENT_SECRET
from tests.e2e.api import Api, Json, edit_body, order_body, problem, quote_body
from tests.e2e.processes import Child
from tests.e2e.sockets import Socket, open_socket, raw_socket
from tests.e2e.world import World

JSON = {"Content-Type": "application/json"}
ORDERS = "/auto-parts-orders"
QUOTE = "/shop-quotes/provide-quote"
LONG = DEVELOPMENT_SECRET * 2  # PyJWT warns of short keys
BAD_FRAME, UNAUTHORIZED, FORBIDDEN = 4500, 4501, 4502
WRITTEN = (
    *("orders", "dispatches", "quotes", "order_documents", "shops", "shop_onboardings", "uploads"),
    *("users", "memberships", "notifications", "idempotency_keys", "outbox"),
)


@pytest.fixture(autouse=True)
async def unwritten(world: World, process_a: Child, database_url: str) -> AsyncIterator[None]:
    """The rows are the same before and after, whatever the test sent; the process has logged no failure."""
    before, logged = await _rows(database_url), len(process_a.output())
    yield
    assert await _rows(database_url) == before
    assert "_failed" not in process_a.output()[logged:]
    assert process_a.process.poll() is None


async def _rows(database_url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(database_url)
    try:
        counts = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in WRITTEN}
        return counts | {"versions": await connection.fetchval("SELECT sum(version) FROM orders")}
    finally:
        await connection.close()


def changed(body: Json, path: str, value: Any) -> Json:
    """A valid body but for one value; `path` as in a JSON pointer."""
    target: Any = json.loads(json.dumps(body))
    copy = target
    *parents, last = [int(name) if name.isdigit() else name for name in path.split("/")]
    for name in parents:
        target = target[name]
    target[last] = value
    return dict(copy)


# A body is a function of a valid one.
RAW_BODIES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda good: good[:-7],
    "followed by more": lambda good: good + b"{}",
    "null": lambda _: b"null",
    "an array": lambda _: b"[]",
    "a string": lambda _: b'"order"',
    "not UTF-8": lambda good: good.replace(b"Corolla", b"\xff\xfe"),
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "with a byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "with a raw NUL": lambda good: good.replace(b"Corolla", b"Cor\0olla"),
    "with an escaped NUL": lambda good: good.replace(b"Corolla", b"Cor\\u0000olla"),
    "with half a surrogate pair": lambda good: good.replace(b"Corolla", b"\\ud83d"),
    "with the halves swapped": lambda good: good.replace(b"Corolla", b"\\ude00\\ud83d"),
    "with an encoded surrogate": lambda good: good.replace(b"Corolla", b"\xed\xa0\xbd"),
    "with NaN": lambda good: good.replace(b"2018", b"NaN"),
    "with Infinity": lambda good: good.replace(b"2018", b"-Infinity"),
    "with a number beyond a float": lambda good: good.replace(b"2018", b"1e999"),
    "with a number of 5,000 digits": lambda good: good.replace(b"2018", b"9" * 5_000),
    "arrays 100,000 deep": lambda _: b"[" * 100_000,
    "objects 20,000 deep": lambda _: b'{"vehicle":' * 20_000,
}


@pytest.mark.parametrize("name", RAW_BODIES)
async def test_a_body_that_is_no_json_object_is_malformed(a: Api, world: World, name: str) -> None:
    body = RAW_BODIES[name](json.dumps(order_body(world.town)).encode())
    response = await a.call("POST", ORDERS, who=world.customer, headers=JSON, content=body)
    problem(response, 400, "invalid_request")


LATITUDE, LONGITUDE = "deliveryLocation/latitude", "deliveryLocation/longitude"


NO_LATITUDES: list[Any] = [90.001, -91, 1e308, "30.1", None, True, [30]]
NO_LONGITUDES: list[Any] = [180.001, -181, "31", {}]
NO_PARTS: list[Any] = [[], [{"name": "Pad", "quantity": 1}] * 101, {}, None, "pads"]
OUT_OF_BOUNDS: list[tuple[str, Any]] = [
    *((LATITUDE, value) for value in NO_LATITUDES),
    *((LONGITUDE, value) for value in NO_LONGITUDES),
    *(("parts", value) for value in NO_PARTS),
    *(("parts/0/quantity", value) for value in (0, -1, 10_000, "1", 1.5, None, True, 2**64)),
    *(("parts/0/name", value) for value in ("", "x" * 201, 5, None)),
    ("parts/0/condition", "shiny"),
    ("parts/0/price", "1.00"),
    ("parts/0/photoIds/0", "not an id"),
    ("parts/0/photoIds", [str(uuid4())] * 11),
    *(("vehicle/year", value) for value in (1899, 2101, "2018", 2018.5)),
    ("vehicle/make", ""),
    ("vehicle/model", "x" * 121),
    ("vehicle/vin", "1" * 33),
    ("vehicle", None),
    ("urgency", "now"),
    ("paymentMethod", "gold"),
    ("draft", "no"),
    ("draft", 1),
    ("userId", "01890000-0000-7000-8000-000000000000"),
    ("status", "accepted"),
]


@pytest.mark.parametrize(("path", "value"), OUT_OF_BOUNDS)
async def test_a_field_out_of_bounds_is_named(a: Api, world: World, path: str, value: Any) -> None:
    valid = order_body(world.town)
    valid["parts"][0]["photoIds"] = [str(uuid4())]
    body = changed(valid, path, value)
    document = await a.refused(400, "invalid_request", "POST", ORDERS, body, world.customer)
    assert document["errors"], document
    assert f"/{path}".startswith(document["errors"][0]["pointer"].replace("/*", "/0"))
    assert document["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("vehicle/make", "Tojota", "unknown_make"),
        ("vehicle/make", "\u202eatoyoT", "unknown_make"),
        ("vehicle/vin", "1HGCM82633A004352", "vin_make_mismatch"),
        ("vehicle/vin", "1HGCM82633A004353", "invalid_vin"),
        ("paymentMethod", "card", "payment_method_unavailable"),
    ],
)
async def test_what_is_understood_but_impossible_is_422(
    a: Api, world: World, path: str, value: Any, code: str
) -> None:
    document = await a.refused(
        422, code, "POST", ORDERS, changed(order_body(world.town), path, value), world.customer
    )
    if value == "Tojota":
        assert "Toyota" in document["suggestions"]


@pytest.mark.parametrize("vin", ["JT2", "1HGCM82633A00435I", "1HGCM82633A00435٣", "1HGCM82633A0043 2"])
async def test_a_vin_that_is_none_is_malformed(a: Api, world: World, vin: str) -> None:
    body = changed(order_body(world.town), "vehicle/vin", vin)
    await a.refused(400, "malformed_vin", "POST", ORDERS, body, world.customer)


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(a: Api, world: World) -> None:
    body = json.dumps(order_body(world.town)).encode() + b" " * 256 * 1024

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    for content in (body, chunks()):
        response = await a.call("POST", ORDERS, who=world.customer, headers=JSON, content=content)
        problem(response, 413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/x-msgpack"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_kind_is_not_guessed_at(
    a: Api, world: World, headers: dict[str, str]
) -> None:
    body = json.dumps(order_body(world.town)).encode()
    response = await a.call("POST", ORDERS, who=world.customer, headers=headers, content=body)
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", ORDERS, {"Idempotency-Key": ""}),
        ("POST", ORDERS, {"Idempotency-Key": "x" * 256}),
        ("POST", ORDERS, {"Idempotency-Key": "tab\there"}),
        ("PUT", f"{ORDERS}/{{order}}", {"If-Match": "W/three"}),
        ("PUT", f"{ORDERS}/{{order}}", {"If-Match": "-1"}),
        ("GET", "/shop-quotes/inbox", {"X-Shop-Id": "mine"}),
    ],
)
async def test_odd_headers_are_refused(
    a: Api, world: World, method: str, path: str, headers: dict[str, str]
) -> None:
    body = None if method == "GET" else order_body(world.town) if method == "POST" else {"urgency": "low"}
    who = world.owner if method == "GET" else world.customer
    path = path.format(order=world.order["id"])
    await a.refused(400, "invalid_request", method, path, body, who, headers=headers)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1.5", "status=lost", "cursor=%00", "cursor=e30"]
)
async def test_odd_list_parameters_are_refused(a: Api, world: World, query: str) -> None:
    response = await a.call("GET", f"{ORDERS}/user/{world.customer.user_id}?{query}", who=world.customer)
    problem(response, 400, "invalid_cursor" if query.startswith("cursor") else "invalid_request")


@pytest.mark.parametrize(
    "place",
    [
        "latitude=nan&longitude=0",
        "latitude=0&longitude=inf",
        "latitude=91&longitude=0",
        "latitude=0",
        "latitude=x&longitude=0",
    ],
)
async def test_a_place_that_is_none_is_refused(a: Api, place: str) -> None:
    response = await a.call("GET", f"/shops/near?{place}&make=Toyota")
    problem(response, 400, response.json()["code"])
    assert response.json()["code"] in {"invalid_place", "invalid_request"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"{ORDERS}/{bad}") for bad in ("nope", "0", "%00", "..%2f..", "9" * 36, "01890000")),
        ("PUT", f"{ORDERS}/nope"),
        ("POST", f"{ORDERS}/nope/cancel"),
        ("GET", "/shops/nope"),
        ("GET", "/shops/nope/profile"),
        ("DELETE", "/shop-quotes/nope"),
        ("PUT", "/shop-onboarding/nope/step/1"),
        ("GET", "/uploads/%ff%fe"),
        ("GET", "/nothing/here"),
        ("GET", "/auto-parts-orders/"),
    ],
)
async def test_an_id_that_is_none_is_404(a: Api, world: World, method: str, path: str) -> None:
    response = await a.call(method, path, {} if method in {"PUT", "POST"} else None, world.customer)
    if path.endswith("/"):
        assert response.status_code in {404, 405}
    else:
        problem(response, 404, "not_found")


async def test_a_method_that_a_path_does_not_take_is_405(a: Api, world: World) -> None:
    for method in ("DELETE", "PATCH", "TRACE", "GET"):
        response = await a.call(method, ORDERS, who=world.customer)
        problem(response, 405, "method_not_allowed")
        assert "POST" in response.headers["allow"]
    assert (await a.call("OPTIONS", ORDERS)).status_code == 204


# Who asks.


def token(world: World, *, algorithm: str = "HS256", key: str = DEVELOPMENT_SECRET, **claims: Any) -> str:
    """The customer's token with other claims, key or algorithm."""
    given = jwt.decode(world.customer.token, options={"verify_signature": False})
    return jwt.encode(given | claims, "" if algorithm == "none" else key, algorithm=algorithm)


def tampered(world: World) -> str:
    """The customer's token with an admin's name in it and the old signature."""
    head, body, signature = world.customer.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["sub"] = world.admin.user_id
    return ".".join(
        [head, base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("="), signature]
    )


TOKENS: dict[str, Callable[[World], str]] = {
    "junk": lambda _: "x",
    "three junk parts": lambda _: "a.b.c",
    "long junk": lambda _: "x" * 9_000,
    "another key": lambda world: token(world, key=DEVELOPMENT_SECRET[::-1]),
    "another algorithm": lambda world: token(world, algorithm="HS512", key=LONG),
    "no algorithm": lambda world: token(world, algorithm="none"),
    "tampered claims": tampered,
    "expired": lambda world: token(world, exp=int(time.time()) - 1),
    "an unknown account": lambda world: token(world, sub=str(uuid4())),
    "claims of other types": lambda world: token(world, sid="x", sub="y"),
    "an empty signature": lambda world: world.customer.token.rpartition(".")[0] + ".",
    "a refresh token": lambda world: world.customer.refresh_token,
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_that_is_not_ours_and_current_signs_nobody_in(a: Api, world: World, name: str) -> None:
    given = TOKENS[name](world)
    response = await a.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {given}"})
    problem(response, 401, "token_expired" if name == "expired" else "invalid_token")
    assert response.headers["www-authenticate"].startswith("Bearer")
    async with raw_socket(a) as connection:
        socket = Socket(connection)
        await socket.send({"type": "connect", "token": given})
        assert await socket.close_code() in {UNAUTHORIZED, BAD_FRAME}


@pytest.mark.parametrize("header", ["Bearer", "Basic YTpi", "Token x", "bearer"])
async def test_a_header_without_a_token_signs_nobody_in(a: Api, header: str) -> None:
    response = await a.http.get("/api/v1/auth/me", headers={"Authorization": header})
    problem(response, 401, "unauthorized")


# Quotes.


async def test_a_quote_for_an_order_that_the_shop_was_not_asked_for_is_404(a: Api, world: World) -> None:
    for order in (world.rival_order, world.order | {"id": str(uuid4())}):
        await a.refused(404, "not_found", "POST", QUOTE, quote_body(order), world.owner)
    decline = {"orderId": world.rival_order["id"], "reason": "no"}
    await a.refused(404, "not_found", "POST", "/shop-quotes/decline", decline, world.owner)


async def test_foreign_objects_are_404(a: Api, world: World) -> None:
    foreign, quote = world.rival_order["id"], world.rival_quote
    accept = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
    for who, method, path, body in (
        (world.customer, "GET", f"{ORDERS}/{foreign}", None),
        (world.customer, "PUT", f"{ORDERS}/{foreign}", {"urgency": "low"}),
        (world.customer, "POST", f"{ORDERS}/{foreign}/cancel", {}),
        (world.customer, "POST", f"{ORDERS}/{foreign}/accept-quote", accept),
        (world.customer, "POST", f"{ORDERS}/{world.order['id']}/accept-quote", accept),
        (world.customer, "GET", f"{ORDERS}/user/{world.stranger.user_id}", None),
        (world.owner, "PUT", f"/shop-quotes/{quote['id']}", edit_body(world.rival_order, "1.00")),
        (world.owner, "DELETE", f"/shop-quotes/{quote['id']}", None),
        (world.owner, "GET", f"/shops/{world.rival.shop_id}/staff", None),
    ):
        await a.refused(404, "not_found", method, path, body, who)


@pytest.mark.parametrize(
    ("path", "value", "status", "code"),
    [
        *(
            ("lines/0/unitPrice", v, 400, "invalid_request")
            for v in ("1.001", "-1", "1e3", "1,50", "٣", "9" * 20, ".5", "")
        ),
        *(("lines/0/unitPrice", v, 400, "invalid_request") for v in (45, 45.0, True)),
        *(("deliveryFee", v, 400, "invalid_request") for v in ("0.005", 5, None, "5 USD", "NaN")),
        ("lines/0/coreCharge", "0.001", 400, "invalid_request"),
        ("lines/0/quantity", 0, 400, "invalid_request"),
        ("lines/0/quantity", 10_000, 400, "invalid_request"),
        ("lines/0/unitPrice", None, 400, "invalid_request"),
        ("lines", [], 400, "invalid_request"),
        ("currency", "usd", 400, "invalid_request"),
        ("currency", "EUR", 422, "currency_mismatch"),
        ("estimatedDeliveryMinutes", -1, 400, "invalid_request"),
        ("validUntil", "tomorrow", 400, "invalid_request"),
        ("validUntil", "2026-01-01T00:00:00", 400, "invalid_request"),
        ("shopId", "01890000-0000-7000-8000-000000000000", 400, "invalid_request"),
        ("lines/0/lineId", "01890000-0000-7000-8000-000000000000", 422, "quote_lines_mismatch"),
    ],
)
async def test_a_quote_out_of_bounds_is_refused(
    a: Api, world: World, path: str, value: Any, status: int, code: str
) -> None:
    edit = changed(edit_body(world.order, "45.00"), path, value)
    await a.refused(status, code, "PUT", f"/shop-quotes/{world.quote['id']}", edit, world.owner)


async def test_a_quote_answers_every_line(a: Api, world: World) -> None:
    edit = edit_body(world.order, "45.00")
    path = f"/shop-quotes/{world.quote['id']}"
    missing = edit | {"lines": edit["lines"][:1]}
    await a.refused(422, "quote_lines_mismatch", "PUT", path, missing, world.owner)
    nothing = edit | {"lines": [{"lineId": line["lineId"], "available": False} for line in edit["lines"]]}
    await a.refused(422, "nothing_offered", "PUT", path, nothing, world.owner)


# Shops and files.

SQUARE = [[10.0, 0.0], [11.0, 0.0], [11.0, 1.0], [10.0, 1.0], [10.0, 0.0]]


@pytest.mark.parametrize(
    "rings",
    [
        [[[10.0, 0.0], [11.0, 1.0], [11.0, 0.0], [10.0, 1.0], [10.0, 0.0]]],
        [SQUARE[:-1]],
        [SQUARE[:3]],
        [],
        [[[200.0, 0.0], [201.0, 0.0], [201.0, 1.0], [200.0, 0.0]]],
        [[[10.0], [11.0], [11.0], [10.0]]],
        [[["10", "0"], ["11", "0"], ["11", "1"], ["10", "0"]]],
        [SQUARE, [[50.0, 0.0], [51.0, 0.0], [51.0, 1.0], [50.0, 0.0]]],
        [[*[[10 + n / 1_001, 0.0] for n in range(1_001)], [10.5, 1.0], [10.0, 0.0]]],
    ],
    ids=[
        "crossing",
        "open",
        "short",
        "empty",
        "off the map",
        "one number",
        "text",
        "hole outside",
        "too many points",
    ],
)
async def test_a_service_area_that_is_none_is_refused(a: Api, world: World, rings: Any) -> None:
    area = {"serviceArea": {"type": "Polygon", "coordinates": rings}}
    response = await a.call("PATCH", f"/shops/{world.owner.shop_id}", area, world.owner)
    problem(response, response.status_code, response.json()["code"])
    assert response.status_code in {400, 422}
    assert response.json()["code"] in {"invalid_service_area", "invalid_request"}


@pytest.mark.parametrize(
    "content",
    [b"", b"%PDF-1.7 but no end", b"\x89PNG\r\n\x1a\n<script>", b"MZ\x90\0", b"<svg/>", b"\xff\xd8\xff"],
)
async def test_a_file_that_is_not_what_it_says_is_refused(a: Api, world: World, content: bytes) -> None:
    files = {"file": ("licence.png", content, "image/png")}
    response = await a.call("POST", "/uploads", who=world.owner, files=files)
    problem(response, 422, "unsupported_file")


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "multipart/form-data"}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--y\r\n", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400),
    ],
)
async def test_a_form_that_is_none_is_refused(
    a: Api, world: World, headers: dict[str, str], content: bytes, status: int
) -> None:
    response = await a.call("POST", "/uploads", who=world.owner, headers=headers, content=content)
    problem(response, status, "unsupported_media_type" if status == 415 else "invalid_request")


async def test_a_file_over_the_limit_is_refused(a: Api, world: World) -> None:
    files = {"file": ("licence.pdf", b"%PDF-1.7" + bytes(11 * 2**20) + b"%%EOF", "application/pdf")}
    response = await a.call("POST", "/uploads", who=world.owner, files=files)
    problem(response, 413, "payload_too_large")


# Below HTTP.


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"FOO / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_too(a: Api, request_bytes: bytes) -> None:
    address = urlsplit(a.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_bytes)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "invalid_request"


# Sockets.

FIRST_FRAMES: dict[str, str | bytes] = {
    "a request before connect": '{"type": "request", "ref": "1", "method": "mark-seen", "data": {}}',
    "an ack before connect": '{"type": "ack", "cursor": "x"}',
    "no JSON": "{",
    "no object": "[]",
    "no type": "{}",
    "an unknown type": '{"type": "hello"}',
    "an unknown field": '{"type": "connect", "token": "x", "admin": true}',
    "another type of token": '{"type": "connect", "token": 5}',
    "a shop that is no id": '{"type": "connect", "token": "x", "shopId": "mine"}',
    "a NUL": '{"type": "connect", "token": "\\u0000"}',
    "half a surrogate pair": '{"type": "connect", "token": "\\ud800"}',
    "60,000 arrays": "[" * 60_000,
    "a binary frame": b'{"type": "connect"}',
    "64 KiB and one": " " * (64 * 1024 + 1),
    "2 MB": "x" * 2_000_000,
}


@pytest.mark.parametrize("name", FIRST_FRAMES)
async def test_a_bad_first_frame_ends_the_socket(a: Api, name: str) -> None:
    async with raw_socket(a) as connection:
        # A large frame is refused, and the line closed, before all of it has been sent.
        with contextlib.suppress(ConnectionClosed):
            await connection.send(FIRST_FRAMES[name])
        assert await Socket(connection).close_code() == BAD_FRAME
        assert connection.close_reason


LATER_FRAMES: dict[str, str | bytes] = {
    "a second connect": '{"type": "connect", "token": "x"}',
    "a binary frame": b"{}",
    "64 KiB and one": " " * (64 * 1024 + 1),
    "a request without ref": '{"type": "request", "method": "mark-seen", "data": {}}',
    "a number of 5,000 digits": '{"type": "request", "ref": "1", "method": "mark-seen", "data": %s}'
    % ("9" * 5_000),
    "text that is not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("name", LATER_FRAMES)
async def test_a_bad_later_frame_ends_the_socket(a: Api, world: World, name: str) -> None:
    async with open_socket(a, world.customer) as socket:
        await socket.connection.send(LATER_FRAMES[name], text=name.startswith("text") or None)
        assert await socket.close_code() == BAD_FRAME


async def test_a_bad_request_over_a_socket_is_answered_and_the_socket_stays(a: Api, world: World) -> None:
    async with open_socket(a, world.owner, shop=True) as socket:
        order, quote = world.rival_order["id"], world.rival_quote["id"]
        for method, data, status, code in (
            ("launch", {}, 404, "unknown_method"),
            ("mark-seen", None, 400, "invalid_request"),
            ("mark-seen", [], 400, "invalid_request"),
            ("mark-seen", {"orderId": "nope"}, 400, "invalid_request"),
            ("mark-seen", {"orderId": order, "more": 1}, 400, "invalid_request"),
            ("mark-seen", {"orderId": order}, 404, "not_found"),
            ("decline-order", {"orderId": order, "reason": ""}, 400, "invalid_request"),
            ("withdraw-quote", {"quoteId": quote}, 404, "not_found"),
            ("provide-quote", quote_body(world.rival_order), 404, "not_found"),
            ("accept-quote", {"orderId": order, "quoteId": quote, "quoteVersion": 0}, 400, "invalid_request"),
            ("accept-quote", {"orderId": order, "quoteId": quote, "quoteVersion": 1}, 404, "not_found"),
            ("cancel-order", {"orderId": order}, 404, "not_found"),
        ):
            given, document = await socket.request(method, data)
            assert (given, document["code"]) == (status, code), method


async def test_a_socket_for_a_foreign_shop_is_refused(a: Api, world: World) -> None:
    for shop_id in (world.owner.shop_id, str(UUID(int=0))):
        async with raw_socket(a) as connection:
            socket = Socket(connection)
            await socket.send({"type": "connect", "token": world.customer.token, "shopId": shop_id})
            assert await socket.close_code() == FORBIDDEN


async def test_a_socket_that_was_not_offered_our_protocol_or_comes_from_elsewhere_is_refused(a: Api) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    other = await a.call("GET", "/realtime", headers=upgrade | {"Sec-WebSocket-Protocol": "graphql-ws"})
    assert (other.status_code, other.json()["code"]) == (400, "invalid_request")
    foreign = await a.call("GET", "/realtime", headers=upgrade | {"Origin": "https://elsewhere.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
