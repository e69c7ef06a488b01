import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.notifications.endpoints import (
    MAX_ADDRESSES,
    EndpointRefused,
    EndpointUnresolved,
    is_public,
    parse,
    resolve,
    system_lookup,
)

PUBLIC, PUBLIC_6 = "203.0.113.1", "2606:4700::1111"


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/x",
        "ftp://push.example/x",
        "//push.example/x",
        "https:///x",
        "https://user@push.example/x",
        "https://user:pass@push.example/x",
        "https://@push.example/x",
        "https://push.example:8443/x",
        "https://push.example:0/x",
        "https://push.example:99999/x",
        "https://[::1/x",
        "https://push.example/a b",
        "https://push.example\\@127.0.0.1/x",
        "https://push.example/\r\nHost: other",
        "https://пуш.example/x",
        "",
    ],
)
def test_only_plain_https_urls_are_taken(url: str) -> None:
    with pytest.raises(EndpointRefused):
        parse(url, allow_private=False)


@given(st.text())
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = parse(text, allow_private=False)
    except EndpointRefused:
        return
    assert (endpoint.scheme, endpoint.port) == ("https", 443)


def test_an_endpoint_is_called_by_address_and_named_by_name() -> None:
    endpoint = parse("https://Push.Example/send/1?k=v#x", allow_private=False)
    assert endpoint.origin == "https://push.example"
    assert endpoint.authority == "push.example"
    assert endpoint.url_at(PUBLIC) == "https://203.0.113.1:443/send/1?k=v"
    assert endpoint.url_at(PUBLIC_6) == "https://[2606:4700::1111]:443/send/1?k=v"


def test_tests_may_allow_http_and_ports() -> None:
    endpoint = parse("http://[::1]:8080", allow_private=True)
    assert (endpoint.origin, endpoint.target) == ("http://[::1]:8080", "/")
    assert parse("http://a.example/", allow_private=True).origin == "http://a.example"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),  # noqa: S104  data
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *(
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "fec0::1",
            "2001:db8::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::"),
    ],
)
def test_addresses_of_private_networks_are_told(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "142.250.1.95", PUBLIC_6, "2a00:1450::1", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_told(address: str) -> None:
    assert is_public(ip_address(address))


async def found(*addresses: str, private: bool = False) -> list[str]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("push.example", 443)
        return addresses

    endpoint = parse("https://push.example/x", allow_private=False)
    return await resolve(endpoint, lookup, allow_private=private)


async def test_a_name_leads_to_a_few_public_addresses() -> None:
    many = [f"8.8.8.{n}" for n in range(9)]
    assert await found(*many) == many[:MAX_ADDRESSES]
    assert await found("8.8.8.8", "8.8.8.8", PUBLIC_6) == ["8.8.8.8", PUBLIC_6]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"]])
async def test_a_name_with_any_private_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(EndpointRefused):
        await found(*addresses)
    assert await found(*addresses, private=True) == addresses


async def test_a_name_without_an_address_may_have_one_later() -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    endpoint = parse("https://push.example/x", allow_private=False)
    with pytest.raises(EndpointUnresolved):
        await resolve(endpoint, fails, allow_private=False)
    with pytest.raises(EndpointUnresolved):
        await found()


async def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr("matcher.notifications.endpoints.RESOLVE_TIMEOUT_S", 0.01)
    with pytest.raises(EndpointUnresolved):
        await resolve(parse("https://push.example/x", allow_private=False), hangs, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]"])
async def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    endpoint = parse(f"https://{host}/x", allow_private=False)
    with pytest.raises(EndpointRefused):
        await resolve(endpoint, system_lookup, allow_private=False)
