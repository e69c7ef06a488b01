"""What shops change, what admins decide, what the public sees; through HTTP on real PostGIS."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

BOWTIE = {"type": "Polygon", "coordinates": [[[31, 30], [32, 31], [32, 30], [31, 31], [31, 30]]]}


async def _status(world: Any, shop_id: str, status: str) -> None:
    await world.pool.execute(
        "UPDATE shops SET status = $2, version = version + 1 WHERE id = $1", UUID(shop_id), status
    )


async def test_the_queue_shows_who_waits_and_why(world: Any) -> None:
    owner, admin = await world.person(), await world.person("admin")
    ids = [await owner.open_shop() for _ in range(3)]
    page = await admin.do("GET", "/admin/shops?status=pending_verification&limit=2")
    assert [item["id"] for item in page["items"]] == ids[:2]
    rest = await admin.do(
        "GET", f"/admin/shops?status=pending_verification&limit=2&cursor={page['nextCursor']}"
    )
    assert [item["id"] for item in rest["items"]] == ids[2:]
    assert rest["nextCursor"] is None
    assert (await admin.do("GET", "/admin/shops?status=active"))["items"] == []
    assert len((await admin.do("GET", "/admin/shops"))["items"]) == 3


@pytest.mark.parametrize("query", ["status=open", "limit=0", "limit=201", "limit=x", "cursor=zzz"])
async def test_a_bad_query_is_refused(world: Any, query: str) -> None:
    admin = await world.person("admin")
    assert (await admin.refused("GET", f"/admin/shops?{query}"))["status"] == 400


async def test_reviews_are_for_admins(world: Any) -> None:
    owner = await world.person()
    shop_id = await owner.open_shop()
    for method, path in (("POST", f"/admin/shops/{shop_id}/verify"), ("GET", "/admin/shops")):
        assert (await owner.refused(method, path))["status"] == 403


async def test_a_shop_goes_through_its_states(world: Any) -> None:
    owner, admin = await world.person(), await world.person("admin")
    shop_id = await owner.open_shop()
    for review, body, status in (
        ("verify", None, "active"),
        ("suspend", {"reason": "complaints"}, "suspended"),
        ("reactivate", None, "active"),
    ):
        view = await admin.do("POST", f"/admin/shops/{shop_id}/{review}", body)
        assert view["status"] == status
        assert view["reviewReason"] == (body or {}).get("reason")
        assert view["reviewedBy"] == str(admin.id)


@pytest.mark.parametrize("status", ["unclaimed", "active", "suspended", "inactive", "rejected"])
async def test_only_a_waiting_shop_is_verified_or_rejected(world: Any, status: str) -> None:
    owner, admin = await world.person(), await world.person("admin")
    shop_id = await owner.open_shop()
    await _status(world, shop_id, status)
    for review, body in (("verify", None), ("reject", {"reason": "x"})):
        problem = await admin.refused("POST", f"/admin/shops/{shop_id}/{review}", body)
        assert (problem["status"], problem["code"], problem["shopStatus"]) == (409, "shop_state", status)


async def test_a_repeated_review_with_its_key_is_replayed(world: Any) -> None:
    owner, admin = await world.person(), await world.person("admin")
    path = f"/admin/shops/{await owner.open_shop()}/verify"
    first = await admin.do("POST", path, headers={"Idempotency-Key": "k"})
    assert await admin.do("POST", path, headers={"Idempotency-Key": "k"}) == first
    assert (await admin.refused("POST", path))["code"] == "shop_state"


async def test_a_reason_is_needed(world: Any) -> None:
    owner, admin = await world.person(), await world.person("admin")
    shop_id = await owner.open_shop()
    for body in ({}, {"reason": ""}, {"reason": "x" * 1001}):
        assert (await admin.refused("POST", f"/admin/shops/{shop_id}/reject", body))["status"] == 400


async def test_an_unknown_shop_is_not_found(world: Any) -> None:
    owner, admin = await world.person(), await world.person("admin")
    assert (await admin.refused("POST", f"/admin/shops/{uuid4()}/verify"))["status"] == 404
    assert (await owner.refused("GET", f"/shops/{uuid4()}"))["status"] == 404
    assert (await owner.refused("GET", f"/shops/{uuid4()}/profile"))["status"] == 404


async def test_a_shop_changes_each_of_its_fields(world: Any) -> None:
    owner, shop_id = await world.active_shop()
    pause = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    changes: dict[str, Any] = {
        "phone": "+20 100",
        "email": None,
        "latitude": 31.2001,
        "longitude": 29.9187,
        "address": "Corniche",
        "deliveryRadiusM": 5_000,
        "shipsBeyondArea": True,
        "supportedBrands": ["تويوتا", "BMW"],
        "timeZone": "Europe/Paris",
        "openingHours": None,
        "hoursExceptions": [{"date": "2030-01-01", "closed": True}],
        "pausedUntil": pause.isoformat(),
        "inventoryMode": "sync",
        "currency": "EUR",
        "defaultMarkupPercent": None,
        "autoQuote": True,
    }
    before = await owner.do("GET", f"/shops/{shop_id}")
    view = await owner.do("PATCH", f"/shops/{shop_id}", changes)
    assert view == await owner.do("GET", f"/shops/{shop_id}")
    assert view["place"] == {"latitude": 31.2001, "longitude": 29.9187}
    assert view["supportedBrands"] == ["BMW", "Toyota"]
    assert view["hoursExceptions"] == [{"date": "2030-01-01", "closed": True, "spans": []}]
    assert datetime.fromisoformat(view["pausedUntil"]) == pause
    for field in ("phone", "email", "address", "deliveryRadiusM", "shipsBeyondArea", "timeZone", "currency"):
        assert view[field] == changes[field]
    for field in ("openingHours", "inventoryMode", "defaultMarkupPercent", "autoQuote"):
        assert view[field] == changes[field]
    assert view["version"] == before["version"] + 1
    assert view["name"] == before["name"]


async def test_an_empty_change_changes_nothing_but_the_version(world: Any) -> None:
    owner, shop_id = await world.active_shop()
    before = await owner.do("GET", f"/shops/{shop_id}")
    after = await owner.do("PATCH", f"/shops/{shop_id}", {})
    assert {**after, "version": 0, "updatedAt": 0} == {**before, "version": 0, "updatedAt": 0}


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"latitude": 30.0}, 400, "/latitude"),
        ({"latitude": 91, "longitude": 0}, 400, "/latitude"),
        ({"deliveryRadiusM": 1000, "serviceArea": {"type": "Polygon"}}, 400, "/deliveryRadiusM"),
        ({"serviceArea": BOWTIE}, 422, "/serviceArea"),
        ({"serviceArea": {}}, 422, "/serviceArea"),
        ({"supportedBrands": ["Toyotta"]}, 422, "/supportedBrands/0"),
        ({"timeZone": "../../etc/passwd"}, 400, "/timeZone"),
        ({"openingHours": {"mon": [["10:00", "10:00"]]}}, 400, "/openingHours/mon"),
        ({"hoursExceptions": [{"date": "2030-02-30", "closed": True}]}, 400, "/hoursExceptions/0/date"),
        ({"hoursExceptions": [{"date": "2030-01-01"}]}, 400, "/hoursExceptions/0"),
        ({"hoursExceptions": [{"date": "2030-01-01", "closed": True}] * 2}, 400, "/hoursExceptions/1/date"),
        ({"pausedUntil": "2001-01-01T00:00:00Z"}, 400, "/pausedUntil"),
        ({"pausedUntil": "9000-01-01T00:00:00Z"}, 400, "/pausedUntil"),
        ({"pausedUntil": "2030-01-01T00:00:00"}, 400, "/pausedUntil"),
        ({"status": "active"}, 400, ""),
        ({"name": "Other"}, 400, ""),
    ],
)
async def test_a_bad_change_is_refused_whole(
    world: Any, change: dict[str, Any], status: int, pointer: str
) -> None:
    owner, shop_id = await world.active_shop()
    problem = await owner.refused("PATCH", f"/shops/{shop_id}", {"phone": "+20 999 999"} | change)
    assert problem["status"] == status
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert (await owner.do("GET", f"/shops/{shop_id}"))["phone"] == "+20 2 2795 0000"


async def test_a_stale_version_is_refused(world: Any) -> None:
    owner, shop_id = await world.active_shop()
    version = (await owner.do("GET", f"/shops/{shop_id}"))["version"]
    stale = {"If-Match": f'"{version}"'}
    await owner.do("PATCH", f"/shops/{shop_id}", {"address": "A"}, headers=stale)
    problem = await owner.refused("PATCH", f"/shops/{shop_id}", {"address": "B"}, headers=stale)
    assert problem["code"] == "version_conflict"


@pytest.mark.parametrize("status", ["pending_verification", "suspended", "inactive", "rejected"])
async def test_only_an_active_shop_changes_itself(world: Any, status: str) -> None:
    owner, shop_id = await world.active_shop()
    await _status(world, shop_id, status)
    problem = await owner.refused("PATCH", f"/shops/{shop_id}", {"address": "B"})
    assert (problem["code"], problem["shopStatus"]) == ("shop_state", status)


async def test_roles_decide_who_may_change(world: Any) -> None:
    _, shop_id = await world.active_shop()
    for role, allowed in (
        ("manager", True),
        ("cashier", False),
        ("stock_clerk", False),
        ("accountant", False),
    ):
        member = await world.person("customer")
        await world.pool.execute(
            "INSERT INTO memberships (user_id, shop_id, role) VALUES ($1, $2, $3)",
            member.id,
            UUID(shop_id),
            role,
        )
        assert (await member.call("GET", f"/shops/{shop_id}")).status_code == 200
        answer = await member.call("PATCH", f"/shops/{shop_id}", {"address": role})
        assert answer.status_code == (200 if allowed else 403)
    stranger = await world.person()
    assert (await stranger.refused("PATCH", f"/shops/{shop_id}", {"address": "x"}))["status"] == 404


async def test_a_profile_shows_what_anybody_may_know(world: Any, insert_shop: Any) -> None:
    _, shop_id = await world.active_shop()
    profile = (await world.client.get(f"/api/v1/shops/{shop_id}/profile")).json()
    assert profile["name"] == "Nile Parts"
    assert profile["phone"] == "+20 2 2795 0000"
    assert profile["openNow"] in (True, False)
    assert not {"email", "taxId", "registrationNumber", "ownerId", "documentIds"} & set(profile)
    imported = await insert_shop()
    profile = (await world.client.get(f"/api/v1/shops/{imported}/profile")).json()
    assert (profile["status"], profile["phone"], profile["openNow"]) == ("unclaimed", None, None)


@pytest.mark.parametrize("status", ["pending_verification", "suspended", "inactive", "rejected"])
async def test_a_shop_that_is_not_listed_has_no_profile(world: Any, status: str) -> None:
    _, shop_id = await world.active_shop()
    await _status(world, shop_id, status)
    assert (await world.client.get(f"/api/v1/shops/{shop_id}/profile")).status_code == 404


async def test_near_lists_active_shops_that_serve_the_place(world: Any) -> None:
    _, shop_id = await world.active_shop()
    near = await world.client.get("/api/v1/shops/near?latitude=30.05&longitude=31.24&make=VW")
    assert [item["id"] for item in near.json()["items"]] == [shop_id]
    assert 0 < near.json()["items"][0]["distanceM"] < 1_000
    for query in ("latitude=30.05&longitude=31.24&make=BMW", "latitude=31.2&longitude=29.9&make=VW"):
        assert (await world.client.get(f"/api/v1/shops/near?{query}")).json()["items"] == []


async def test_near_lists_unclaimed_shops_nearest_first(world: Any, insert_shop: Any) -> None:
    far = await insert_shop(latitude=30.2, makes=["bmw"])
    near = await insert_shop(latitude=30.1)
    await insert_shop(latitude=30.06, status="suspended")
    query = "/api/v1/shops/near?latitude=30.05&longitude=31.2357&unclaimed=true"
    items = (await world.client.get(query)).json()["items"]
    assert [item["id"] for item in items] == [str(near), str(far)]
    assert items[0]["distanceM"] == 5559
    items = (await world.client.get(f"{query}&make=BMW")).json()["items"]
    assert [item["id"] for item in items] == [str(far)]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("latitude=NaN&longitude=0&make=VW", 400, "invalid_place"),
        ("latitude=inf&longitude=0&make=VW", 400, "invalid_place"),
        ("latitude=0&longitude=181&make=VW", 400, "invalid_place"),
        ("latitude=0&make=VW", 400, "invalid_request"),
        ("latitude=0&longitude=0", 400, "invalid_request"),
        ("latitude=0&longitude=0&make=VW&limit=51", 400, "invalid_request"),
        ("latitude=0&longitude=0&make=Toyotta", 422, "unknown_make"),
        ("latitude=0&longitude=0&make=" + "x" * 65, 400, "invalid_request"),
        ("latitude=0&longitude=0&make=%00", 422, "unknown_make"),
    ],
)
async def test_a_bad_question_for_near_shops_is_refused(
    world: Any, query: str, status: int, code: str
) -> None:
    response = await world.client.get(f"/api/v1/shops/near?{query}")
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_makes_are_listed_with_their_spellings(world: Any) -> None:
    items = (await world.client.get("/api/v1/vehicle-makes")).json()["items"]
    by_slug = {item["slug"]: item for item in items}
    assert by_slug["toyota"]["nameAr"]
    assert "vw" in [alias.lower() for alias in by_slug["volkswagen"]["aliases"]]
