import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.addresses import TrustedProxies, subscriber_of

PROXY = "10.0.0.1"
ADDRESSES = st.ip_addresses(v=4).map(str)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        (PROXY, "192.0.2.1", "192.0.2.1"),
        (PROXY, "1.1.1.1, 192.0.2.1", "192.0.2.1"),  # what the client itself sent comes first
        (PROXY, "192.0.2.1, 10.0.0.2", "192.0.2.1"),  # two proxies of ours
        (PROXY, "10.0.0.2,10.0.0.3", "10.0.0.2"),  # nobody else: the innermost of ours asks
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (PROXY, "", PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, "192.0.2.1, what?", PROXY),
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),  # a stranger's word
        ("unix", "192.0.2.1", "unix"),
    ],
)
def test_the_last_hop_that_is_not_ours_is_the_client(peer: str, forwarded_for: str, client: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client_of(peer, forwarded_for) == client


@given(ADDRESSES, st.lists(ADDRESSES), st.text(max_size=40))
def test_nobody_is_believed_by_default(peer: str, hops: list[str], junk: str) -> None:
    proxies = TrustedProxies()
    assert not proxies
    assert proxies.client_of(peer, ",".join([junk, *hops])) == peer


@given(st.text(max_size=60), st.ip_addresses(v=4, network="192.0.2.0/24").map(str))
def test_what_a_client_sends_cannot_change_who_it_is(sent: str, client: str) -> None:
    assert TrustedProxies([PROXY]).client_of(PROXY, f"{sent},{client}") == client


@pytest.mark.parametrize("text", ["", "10.0.0.0/99", "proxy.example"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        TrustedProxies([text])


@pytest.mark.parametrize(
    ("host", "subscriber"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_limits_count_what_one_subscriber_holds(host: str, subscriber: str) -> None:
    assert subscriber_of(host) == subscriber


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_addresses_of_one_64_are_one_subscriber(address: ipaddress.IPv6Address, suffix: int) -> None:
    other = ipaddress.IPv6Address(int(address) >> 64 << 64 | suffix)
    if address.ipv4_mapped is None and other.ipv4_mapped is None:
        assert subscriber_of(str(address)) == subscriber_of(str(other))
