"""The cast: shares of the cities, the six steps, passwords that need no storing."""

from hypothesis import given
from hypothesis import strategies as st

from matcher.demo.cast import admin_account, city_shares, onboarding_steps
from matcher.demo.catalogue import CITIES
from matcher.demo.client import Account
from matcher.demo.draws import shop_habits
from matcher.settings import Settings

FOUND = {"id": "s", "name": "Parts", "place": {"latitude": 32.9, "longitude": 13.2}}


@given(st.integers(1, 400))
def test_shares_add_up_and_follow_the_weights(count: int) -> None:
    shares = city_shares(count)
    total = sum(city.shops_weight for city in CITIES)
    assert sum(share for _, share in shares) == count
    assert all(abs(share - count * city.shops_weight / total) < 1 for city, share in shares)


def test_the_steps_answer_what_onboarding_asks() -> None:
    habits = [shop_habits(1, number) for number in range(40)]
    with_polygon = next(habit for habit in habits if habit.polygon)
    with_radius = next(habit for habit in habits if not habit.polygon)
    business, location, brands, inventory, pricing, documents = onboarding_steps(
        FOUND, CITIES[2], with_radius, Settings()
    )
    assert business["name"] == "Parts"
    assert location["latitude"] == 32.9
    assert location["timeZone"] == "Africa/Tripoli"
    assert location["deliveryRadiusM"] == with_radius.radius_m
    assert "serviceArea" not in location
    assert brands["supportedBrands"] == list(with_radius.makes)
    assert (inventory["mode"], pricing["currency"], documents["documentIds"]) == ("manual", "USD", [])
    polygon = onboarding_steps(FOUND, CITIES[2], with_polygon, Settings())[1]
    assert polygon["serviceArea"]["type"] == "Polygon"
    assert "deliveryRadiusM" not in polygon


def test_passwords_are_derived_from_the_secret_and_differ_by_account() -> None:
    first, again = (Account("a@example.com", "A", "customer", "secret") for _ in range(2))
    assert first.password == again.password
    assert len(first.password) == 32
    assert first.password != Account("b@example.com", "B", "customer", "secret").password
    assert first.password != Account("a@example.com", "A", "customer", "another").password
    assert admin_account(Settings()).role == "admin"
