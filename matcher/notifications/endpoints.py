"""Addresses that users hand us and we call: https, public, resolved by us, and called at what was resolved.

Owns the defence against being made to call our own network (SSRF). Checked when an address is
registered, to tell the user, and again at each call, because names change.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

RESOLVE_TIMEOUT_S = 5.0
MAX_ADDRESSES = 3  # tried in turn: a name may have addresses that cannot be reached from here
HTTPS_PORT = 443

# Public IPv6 addresses that carry an IPv4 address inside, which may be one of ours: NAT64, 6to4, Teredo.
_TRANSLATED = tuple(
    IPv6Network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class EndpointRefused(Exception):
    """The address must not be called; the message tells its owner why."""


class EndpointUnresolved(Exception):
    """The name has no address at the moment."""


class Endpoint(NamedTuple):
    """A URL taken apart."""

    scheme: str
    host: str
    port: int
    target: str  # path and query

    @property
    def origin(self) -> str:
        """As RFC 6454 section 6.2 writes it."""
        default = self.port == (HTTPS_PORT if self.scheme == "https" else 80)
        return f"{self.scheme}://{self._bracketed}" + ("" if default else f":{self.port}")

    @property
    def authority(self) -> str:
        """What goes into the `Host` header."""
        return self.origin.partition("//")[2]

    def url_at(self, address: str) -> str:
        """The URL with the name replaced by an address that it has."""
        host = f"[{address}]" if ":" in address else address
        return f"{self.scheme}://{host}:{self.port}{self.target}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse(url: str, *, allow_private: bool) -> Endpoint:
    """The endpoint of a URL; EndpointRefused unless it is https on its standard port.

    `allow_private` (tests and development) allows plain http and other ports as well.
    """
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise EndpointRefused("must be a URL in ASCII, without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointRefused("must be a URL") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise EndpointRefused("must begin with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise EndpointRefused("must name a host and no user")
    if port is not None and port != HTTPS_PORT and not allow_private:
        raise EndpointRefused("must use the standard port of https")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(
        parts.scheme, parts.hostname, port or (HTTPS_PORT if parts.scheme == "https" else 80), target
    )


async def resolve(endpoint: Endpoint, lookup: Resolve, *, allow_private: bool) -> list[str]:
    """Up to MAX_ADDRESSES addresses to call; EndpointRefused when any is not public, EndpointUnresolved for none."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            addresses = await lookup(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise EndpointUnresolved("its name cannot be resolved") from error
    if not addresses:
        raise EndpointUnresolved("its name has no address")
    if not allow_private and not all(is_public(ip_address(address)) for address in addresses):
        raise EndpointRefused("must not lead into a private network")
    return list(dict.fromkeys(addresses))[:MAX_ADDRESSES]


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver knows; it also reads `127.1` and `0x7f000001` as libc does."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]).partition("%")[0] for *_, address in found]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet, whatever is wrapped in it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED) or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
