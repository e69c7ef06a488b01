"""Web push to browsers (RFC 8030): encrypted for the subscription, signed as us, sent to where the browser said.

Where the browser said is a user's word: see `endpoints`. No redirect is followed, no proxy of the
environment is used, and little is read of the answer.
"""

import asyncio
import hashlib
import ssl
from typing import Annotated

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from matcher.clock import unix_s, utc_now
from matcher.notifications import endpoints, webpush_crypto
from matcher.notifications.channel import (
    Gone,
    Message,
    Outcome,
    Rejected,
    Retry,
    Sent,
    reason_of,
    retry_after_s,
)
from matcher.notifications.endpoints import Endpoint, EndpointRefused, EndpointUnresolved
from matcher.serialization import WireStruct, encode

MAX_ENDPOINT_CHARS = 2_048
MAX_ANSWER_BYTES = 4_096
TOPIC_CHARS = 32  # RFC 8030 section 5.4


class SubscriptionKeys(WireStruct):
    """`PushSubscription.toJSON().keys`, base64url."""

    p256dh: Annotated[str, Meta(min_length=1, max_length=120)]
    auth: Annotated[str, Meta(min_length=1, max_length=40)]


class Subscription(WireStruct):
    """`PushSubscription.toJSON()` of a browser."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=MAX_ENDPOINT_CHARS)]
    keys: SubscriptionKeys
    expiration_time: float | None = None  # browsers send it; the push service tells us when it is over


class WebPushChannel:
    """See the module. `key` is the VAPID key, `subject` a mailto: or https: address for the push services."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: str,
        *,
        timeout_s: float,
        allow_private: bool = False,
        lookup: endpoints.Resolve = endpoints.system_lookup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._key = key
        self._subject = subject
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._lookup = lookup
        # No connection is kept: one made for a name must not serve another that has the same address.
        self._http = httpx.AsyncClient(
            verify=tls or True,
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=0),
        )

    async def send(self, address: str, message: Message) -> Outcome:
        """See `Channel.send`; `address` is a `Subscription` as JSON."""
        try:
            subscription = msgspec.json.decode(address, type=Subscription)
            keys = webpush_crypto.decode_keys(subscription.keys.p256dh, subscription.keys.auth)
            endpoint = endpoints.parse(subscription.endpoint, allow_private=self._allow_private)
            body = webpush_crypto.encrypt(payload(message), keys)
        except (msgspec.MsgspecError, EndpointRefused, ValueError) as error:
            return Rejected(reason_of(f"subscription: {error}"))
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await endpoints.resolve(endpoint, self._lookup, allow_private=self._allow_private)
                return await self._post(endpoint, addresses, body, self._headers(endpoint, message))
        except EndpointRefused as error:
            return Rejected(reason_of(f"subscription: its endpoint {error}"))
        except EndpointUnresolved as error:
            return Retry(reason_of(f"subscription: {error}"))
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    def _headers(self, endpoint: Endpoint, message: Message) -> dict[str, str]:
        return {
            "Host": endpoint.authority,
            "Authorization": webpush_crypto.authorization(
                self._key, endpoint.origin, self._subject, unix_s()
            ),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(message.ttl_s),
            "Urgency": "high" if message.urgent else "normal",
            "Topic": topic_header(message.topic),
        }

    async def _post(
        self, endpoint: Endpoint, addresses: list[str], body: bytes, headers: dict[str, str]
    ) -> Outcome:
        error: httpx.HTTPError | None = None
        for address in addresses:
            request = self._http.build_request(
                "POST",
                endpoint.url_at(address),
                content=body,
                headers=headers,
                # TLS asks for, and checks, the certificate of the name; only the connection goes to the address.
                extensions={"sni_hostname": endpoint.host},
            )
            try:
                response = await self._http.send(request, stream=True)
                try:
                    return outcome_of(response, await _beginning(response))
                finally:
                    await response.aclose()
            except (httpx.ConnectError, httpx.ConnectTimeout) as unreachable:
                error = unreachable
            except httpx.HTTPError as failed:
                return Retry(reason_of(repr(failed)))
        return Retry(reason_of(repr(error)))


def outcome_of(response: httpx.Response, text: str) -> Outcome:
    """RFC 8030 section 5 and what push services document."""
    status = response.status_code
    reason = reason_of(f"{status} {text}")
    if status in (200, 201, 202, 204):
        return Sent()
    if status in (404, 410):
        return Gone()
    if status in (408, 429) or status >= 500:
        return Retry(reason, retry_after_s(response.headers.get("retry-after"), utc_now()))
    return Rejected(reason)  # redirects too: a user's endpoint must not send us elsewhere


def payload(message: Message) -> bytes:
    """What the service worker of the web app shows. `rules` bound the text, so that it fits one record."""
    return encode({"title": message.title, "body": message.body, "data": message.data})


def topic_header(topic: str) -> str:
    """32 characters of base64url that stand for a topic of any length."""
    return webpush_crypto.encode_base64url(hashlib.sha256(topic.encode()).digest())[:TOPIC_CHARS]


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for piece in response.aiter_raw():
        read += piece
        if len(read) >= MAX_ANSWER_BYTES:
            break
    return read[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
