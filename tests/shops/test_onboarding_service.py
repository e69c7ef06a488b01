"""Onboarding through HTTP on real PostGIS: the steps, their refusals, completion, claims and races."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

BOWTIE = {"type": "Polygon", "coordinates": [[[31, 30], [32, 31], [32, 30], [31, 31], [31, 30]]]}
SQUARE = {"type": "Polygon", "coordinates": [[[31, 30], [32, 30], [32, 31], [31, 31], [31, 30]]]}


async def test_an_onboarding_starts_at_step_one(world: Any) -> None:
    owner = await world.person()
    response = await owner.call("POST", "/shop-onboarding/start", {})
    assert response.status_code == 201
    body = response.json()
    assert (body["status"], body["currentStep"], body["completedSteps"]) == ("in_progress", 1, [])
    assert body["steps"] == {}
    assert body["version"] == 1


async def test_starting_needs_no_body(world: Any) -> None:
    owner = await world.person()
    assert (await owner.call("POST", "/shop-onboarding/start")).status_code == 201


async def test_six_steps_make_a_shop_that_waits_for_verification(world: Any) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    for number, step in enumerate(world.steps, 1):
        view = await owner.do("PUT", f"/shop-onboarding/{onboarding}/step/{number}", step)
        assert view["completedSteps"] == list(range(1, number + 1))
        assert view["currentStep"] == min(number + 1, 6)
    completed = await owner.do("POST", f"/shop-onboarding/{onboarding}/complete")
    assert completed == {
        "id": onboarding,
        "status": "completed",
        "shopId": completed["shopId"],
        "shopStatus": "pending_verification",
    }
    shop = await owner.do("GET", f"/shops/{completed['shopId']}")
    assert shop["name"] == "Nile Parts"
    assert shop["place"] == {"latitude": 30.0444, "longitude": 31.2357}
    assert shop["supportedBrands"] == ["Toyota", "Volkswagen"]
    assert shop["deliveryRadiusM"] == 15_000
    assert shop["openingHours"]["mon"] == [["18:00", "02:00"]]
    assert shop["currency"] == "EGP"
    assert shop["defaultMarkupPercent"] == 12.5
    assert (await owner.do("GET", f"/shop-onboarding/{onboarding}"))["shopId"] == completed["shopId"]
    row = await world.pool.fetchrow(
        "SELECT h3_r5, h3_r8, service_reach_m, owner_id FROM shops WHERE id = $1", UUID(completed["shopId"])
    )
    assert hex(row["h3_r5"]).startswith("0x85")
    assert hex(row["h3_r8"]).startswith("0x88")
    assert 15_000 <= row["service_reach_m"] < 15_001
    assert row["owner_id"] == owner.id


async def test_steps_may_come_in_any_order_and_again(world: Any) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    view = await owner.do("PUT", f"/shop-onboarding/{onboarding}/step/4", {"mode": "manual"})
    assert (view["currentStep"], view["completedSteps"]) == (1, [4])
    view = await owner.do("PUT", f"/shop-onboarding/{onboarding}/step/4", {"mode": "sync"})
    assert view["completedSteps"] == [4]
    assert view["steps"]["inventorySetup"] == {"mode": "sync"}
    assert view["version"] == 3


async def test_completing_early_names_the_missing_steps(world: Any) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    await owner.do("PUT", f"/shop-onboarding/{onboarding}/step/1", world.steps[0])
    problem = await owner.refused("POST", f"/shop-onboarding/{onboarding}/complete")
    assert (problem["status"], problem["code"]) == (409, "onboarding_incomplete")
    assert problem["missingSteps"] == [
        "locationInfo",
        "vehicleBrands",
        "inventorySetup",
        "pricingStrategy",
        "verification",
    ]
    assert await world.pool.fetchval("SELECT count(*) FROM shops") == 0


@pytest.mark.parametrize(
    ("step", "change", "status", "code", "pointer"),
    [
        (1, {"name": "   "}, 400, "invalid_request", "/name"),
        (1, {"name": "x" * 201}, 400, "invalid_request", "/name"),
        (1, {"name": "a\nb"}, 400, "invalid_request", "/name"),
        (1, {"name": "a\n"}, 400, "invalid_request", "/name"),
        (1, {"phone": "+20 100 200\n"}, 400, "invalid_request", "/phone"),
        (1, {"email": "a@b.c\n"}, 400, "invalid_request", "/email"),
        (5, {"currency": "EGP\n"}, 400, "invalid_request", "/currency"),
        (1, {"phone": "call me"}, 400, "invalid_request", "/phone"),
        (1, {"email": "nobody"}, 400, "invalid_request", "/email"),
        (1, {"website": "x"}, 400, "invalid_request", ""),
        (2, {"latitude": 90.1}, 400, "invalid_request", "/latitude"),
        (2, {"longitude": -181}, 400, "invalid_request", "/longitude"),
        (2, {"latitude": "30"}, 400, "invalid_request", "/latitude"),
        (2, {"deliveryRadiusM": 200_001}, 400, "invalid_request", "/deliveryRadiusM"),
        (2, {"deliveryRadiusM": 0}, 400, "invalid_request", "/deliveryRadiusM"),
        (2, {"deliveryRadiusM": None}, 400, "invalid_request", "/deliveryRadiusM"),
        (2, {"serviceArea": SQUARE}, 400, "invalid_request", "/deliveryRadiusM"),
        (2, {"deliveryRadiusM": None, "serviceArea": BOWTIE}, 422, "invalid_service_area", "/serviceArea"),
        (
            2,
            {"deliveryRadiusM": None, "serviceArea": {"type": "Point"}},
            422,
            "invalid_service_area",
            "/serviceArea",
        ),
        (2, {"timeZone": "Mars/Olympus"}, 400, "invalid_request", "/timeZone"),
        (2, {"openingHours": {"mon": [["09:00", "25:00"]]}}, 400, "invalid_request", "/openingHours/mon/0/1"),
        (
            2,
            {"openingHours": {"mon": [["09:00", "17:00"], ["16:00", "18:00"]]}},
            400,
            "invalid_request",
            "/openingHours/mon",
        ),
        (3, {"supportedBrands": []}, 400, "invalid_request", "/supportedBrands"),
        (3, {"supportedBrands": ["Toyota", "Toyotta"]}, 422, "unknown_make", "/supportedBrands/1"),
        (4, {"mode": "magic"}, 400, "invalid_request", "/mode"),
        (5, {"currency": "egp"}, 400, "invalid_request", "/currency"),
        (5, {"defaultMarkupPercent": -1}, 400, "invalid_request", "/defaultMarkupPercent"),
        (6, {"documentIds": ["nonsense"]}, 400, "invalid_request", "/documentIds/0"),
        (6, {"documentIds": [str(uuid4())] * 11}, 400, "invalid_request", "/documentIds"),
        (6, {"documentIds": [str(uuid4())]}, 404, "not_found", "/documentIds/0"),
    ],
)
async def test_a_bad_step_is_refused_at_once_and_leaves_nothing(
    world: Any, step: int, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    body = world.steps[step - 1] | change
    problem = await owner.refused("PUT", f"/shop-onboarding/{onboarding}/step/{step}", body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    view = await owner.do("GET", f"/shop-onboarding/{onboarding}")
    assert (view["completedSteps"], view["version"]) == ([], 1)


async def test_an_unknown_make_is_answered_with_close_ones(world: Any) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    problem = await owner.refused(
        "PUT", f"/shop-onboarding/{onboarding}/step/3", {"supportedBrands": ["Toyotta"]}
    )
    assert "Toyota" in problem["suggestions"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"name": "a\x00b"}', b'{"name": "\\ud800"}', b"\xff"]
)
async def test_a_body_that_is_no_json_object_is_refused(world: Any, content: bytes) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    problem = await owner.refused("PUT", f"/shop-onboarding/{onboarding}/step/1", content=content)
    assert (problem["status"], problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("step", ["0", "7", "99999999999999999999", "-1", "x"])
async def test_there_are_only_six_steps(world: Any, step: str) -> None:
    owner = await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    assert (await owner.refused("PUT", f"/shop-onboarding/{onboarding}/step/{step}", {}))["status"] == 404


async def test_a_polygon_is_stored_as_it_was_given(world: Any) -> None:
    owner = await world.person()
    onboarding = await owner.start()
    location = world.steps[1] | {"deliveryRadiusM": None, "serviceArea": SQUARE}
    await owner.do("PUT", f"/shop-onboarding/{onboarding}/step/2", location)
    shop_id = (await owner.do("POST", f"/shop-onboarding/{onboarding}/complete"))["shopId"]
    shop = await owner.do("GET", f"/shops/{shop_id}")
    assert shop["deliveryRadiusM"] is None
    assert shop["serviceArea"] == {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]}
    farthest = "max(ST_Distance(place, corner.geom::geography, false))"
    assert await world.pool.fetchval(
        f"SELECT min(service_reach_m) BETWEEN {farthest} AND {farthest} * 1.01"
        " FROM shops, ST_DumpPoints(service_area) corner"
    )


async def test_a_stale_version_is_refused(world: Any) -> None:
    owner = await world.person()
    path = f"/shop-onboarding/{(await owner.do('POST', '/shop-onboarding/start', {}))['id']}/step/4"
    await owner.do("PUT", path, {"mode": "manual"}, headers={"If-Match": '"1"'})
    problem = await owner.refused("PUT", path, {"mode": "sync"}, headers={"If-Match": '"1"'})
    assert (problem["status"], problem["code"]) == (409, "version_conflict")


async def test_a_completed_onboarding_is_closed(world: Any) -> None:
    owner = await world.person()
    onboarding = await owner.start()
    await owner.do("POST", f"/shop-onboarding/{onboarding}/complete")
    for method, tail, body in (("POST", "complete", None), ("PUT", "step/4", {"mode": "sync"})):
        problem = await owner.refused(method, f"/shop-onboarding/{onboarding}/{tail}", body)
        assert (problem["status"], problem["code"]) == (409, "onboarding_closed")
    assert await world.pool.fetchval("SELECT count(*) FROM shops") == 1


async def test_completing_twice_at_once_makes_one_shop(world: Any) -> None:
    owner = await world.person()
    path = f"/shop-onboarding/{await owner.start()}/complete"
    answers = await asyncio.gather(*(owner.call("POST", path) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert await world.pool.fetchval("SELECT count(*) FROM shops") == 1


async def test_a_repeated_completion_is_replayed(world: Any) -> None:
    owner = await world.person()
    path = f"/shop-onboarding/{await owner.start()}/complete"
    first = await owner.call("POST", path, headers={"Idempotency-Key": "one"})
    again = await owner.call("POST", path, headers={"Idempotency-Key": "one"})
    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_foreign_and_unknown_onboardings_are_not_found(world: Any) -> None:
    owner, other = await world.person(), await world.person()
    onboarding = await owner.start()
    for identifier in (onboarding, uuid4()):
        for method, tail, body in (
            ("GET", "", None),
            ("PUT", "/step/4", {"mode": "sync"}),
            ("POST", "/complete", None),
        ):
            problem = await other.refused(method, f"/shop-onboarding/{identifier}{tail}", body)
            assert (problem["status"], problem["code"]) == (404, "not_found")


async def test_an_admin_opens_no_shop(world: Any) -> None:
    admin = await world.person("admin")
    assert (await admin.refused("POST", "/shop-onboarding/start", {}))["code"] == "forbidden"


async def test_onboardings_in_progress_are_bounded(world: Any) -> None:
    owner = await world.person()
    for _ in range(20):
        await owner.do("POST", "/shop-onboarding/start", {})
    problem = await owner.refused("POST", "/shop-onboarding/start", {})
    assert (problem["status"], problem["code"]) == (409, "too_many_onboardings")


async def test_documents_must_be_the_callers_own(world: Any) -> None:
    owner, other = await world.person(), await world.person()
    onboarding = (await owner.do("POST", "/shop-onboarding/start", {}))["id"]
    files = {"file": ("licence.png", world.png, "image/png")}
    own = (await owner.do("POST", "/uploads", files=files))["id"]
    foreign = (await other.do("POST", "/uploads", files=files))["id"]
    path = f"/shop-onboarding/{onboarding}/step/6"
    problem = await owner.refused("PUT", path, {"documentIds": [own, foreign]})
    assert (problem["status"], problem["errors"][0]["pointer"]) == (404, "/documentIds/1")
    problem = await owner.refused("PUT", path, {"documentIds": [own, own]})
    assert problem["code"] == "invalid_request"
    view = await owner.do("PUT", path, {"documentIds": [own]})
    assert view["steps"]["verification"] == {"documentIds": [own]}


async def test_a_claim_takes_the_imported_shop_over(world: Any, insert_shop: Any) -> None:
    imported = await insert_shop(makes=["ford", "toyota"])
    owner, admin = await world.person(), await world.person("admin")
    assert await owner.open_shop(imported) == str(imported)
    shop = await owner.do("GET", f"/shops/{imported}")
    assert (shop["name"], shop["supportedBrands"]) == ("Nile Parts", ["Toyota", "Volkswagen"])
    admins = (await admin.do("GET", "/admin/shops?status=pending_verification"))["items"]
    assert [(item["id"], item["source"], item["ownerId"]) for item in admins] == [
        (str(imported), "osm", str(owner.id))
    ]


async def test_only_an_unclaimed_shop_can_be_claimed(world: Any, insert_shop: Any) -> None:
    owner = await world.person()
    taken = await insert_shop(status="active")
    problem = await owner.refused("POST", "/shop-onboarding/start", {"claimShopId": str(taken)})
    assert (problem["status"], problem["code"]) == (409, "shop_already_claimed")
    problem = await owner.refused("POST", "/shop-onboarding/start", {"claimShopId": str(uuid4())})
    assert (problem["status"], problem["code"]) == (404, "not_found")


async def test_of_two_claims_that_complete_at_once_one_takes_the_shop(world: Any, insert_shop: Any) -> None:
    imported = await insert_shop()
    people = [await world.person() for _ in range(4)]
    onboardings = [await person.start(imported) for person in people]
    answers = await asyncio.gather(
        *(
            person.call("POST", f"/shop-onboarding/{onboarding}/complete")
            for person, onboarding in zip(people, onboardings, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    losers = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert losers == ["shop_already_claimed"] * 3
    winner = next(p for p, answer in zip(people, answers, strict=True) if answer.status_code == 200)
    assert await world.pool.fetch("SELECT user_id, role FROM memberships") == [(winner.id, "shop_owner")]


async def test_verification_ends_the_other_claims(world: Any, insert_shop: Any) -> None:
    imported = await insert_shop()
    first, second, admin = await world.person(), await world.person(), await world.person("admin")
    late = await second.start(imported)
    await first.open_shop(imported)
    await admin.do("POST", f"/admin/shops/{imported}/verify")
    assert (await second.do("GET", f"/shop-onboarding/{late}"))["status"] == "failed"
    assert (await second.refused("POST", f"/shop-onboarding/{late}/complete"))["status"] == 409


async def test_a_rejected_claim_frees_the_shop_and_the_first_claimant_loses_it(
    world: Any, insert_shop: Any
) -> None:
    imported = await insert_shop()
    false, true, admin = await world.person(), await world.person(), await world.person("admin")
    waiting = await true.start(imported)
    await false.open_shop(imported)
    assert (await true.refused("POST", f"/shop-onboarding/{waiting}/complete"))[
        "code"
    ] == "shop_already_claimed"
    await admin.do("POST", f"/admin/shops/{imported}/reject", {"reason": "not the owner"})
    assert (await false.do("GET", f"/shops/{imported}"))["reviewReason"] == "not the owner"
    await true.do("POST", f"/shop-onboarding/{waiting}/complete")
    assert (await true.do("GET", f"/shops/{imported}"))["reviewReason"] is None
    assert (await false.refused("GET", f"/shops/{imported}"))["status"] == 404


async def test_a_rejected_owner_may_onboard_the_same_shop_again(world: Any) -> None:
    owner, other, admin = await world.person(), await world.person(), await world.person("admin")
    shop_id = await owner.open_shop()
    await admin.do("POST", f"/admin/shops/{shop_id}/reject", {"reason": "no licence"})
    problem = await other.refused("POST", "/shop-onboarding/start", {"claimShopId": shop_id})
    assert problem["code"] == "shop_already_claimed"
    assert await owner.open_shop(shop_id) == shop_id
    assert (await owner.do("GET", f"/shops/{shop_id}"))["status"] == "pending_verification"
