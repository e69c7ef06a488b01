import pytest

from matcher.accounts.attempts import account_key, address_key


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        ("unknown", "address:unknown"),
    ],
)
def test_an_address_is_counted_by_what_one_subscriber_holds(host: str, key: str) -> None:
    assert address_key(host) == key


def test_the_account_key_does_not_show_the_email() -> None:
    assert "example" not in account_key("a@example.com")
    assert account_key("a@example.com") != account_key("b@example.com")
