"""Where a request comes from: the client's address behind proxies that we trust, and what one subscriber holds.

Owns the reading of `X-Forwarded-For` and the address of the request that runs. Must not count or refuse.
"""

import ipaddress
from collections.abc import Iterable
from contextvars import ContextVar
from functools import lru_cache

# The client's address while its request or socket is served; None in a worker or a command.
CURRENT: ContextVar[str | None] = ContextVar("address", default=None)


class TrustedProxies:
    """Proxies whose `X-Forwarded-For` is believed. Anybody may send the header, so by default nobody's is.

    Raises ValueError for what is neither an address nor a network.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client_of(self, peer: str, forwarded_for: str) -> str:
        """The client's address: the last hop that is no trusted proxy, seen from us.

        `forwarded_for` is the whole header; hops to the left of an untrusted or unreadable one prove nothing.
        """
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            if not self._trusts(client):
                break
            text = hop.strip()
            if not _is_address(text):
                break
            client = text
        return client

    def _trusts(self, host: str) -> bool:
        if not _is_address(host):
            return False
        address = ipaddress.ip_address(host)
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def subscriber_of(host: str) -> str:
    """What limits are counted by: the address, or for IPv6 its /64, where one subscriber holds that many."""
    if not _is_address(host):
        return host
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
