"""Push to phones through Firebase Cloud Messaging, HTTP v1.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and, for the access token, the
service account's JWT grant (RFC 7523).
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from matcher.clock import utc_now
from matcher.errors import ConfigurationError
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

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 3_600
RENEW_BEFORE_S = 60.0  # so that no token expires on its way
MAX_ANSWER_BYTES = 64 * 1024
MAX_COLLAPSE_ID_BYTES = 64  # APNs


class ServiceAccount(msgspec.Struct, frozen=True):
    """The fields that we need of the JSON file that the Firebase console hands out."""

    project_id: str
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105  an address


class _Grant(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    error_code: str = ""


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Failure(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def read_service_account(path: str) -> ServiceAccount:
    """The account in the file; ConfigurationError when it is none."""
    try:
        account = msgspec.json.decode(Path(path).read_bytes(), type=ServiceAccount)
        load_pem_private_key(account.private_key.encode(), None)
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        # The error's text may quote the file, and the file is a secret.
        raise ConfigurationError(
            f"MATCHER_FCM_CREDENTIALS_FILE is no service account's JSON file ({type(error).__name__})."
        ) from error
    return account


class TokenSource:
    """Access tokens of a service account: cached, renewed a minute before they expire, asked for once at a time."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        account: ServiceAccount,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._account = account
        self._now_s = now_s
        self._token = ""
        self._renew_at_s = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A token that is good for a while; httpx.HTTPError when there is none to get."""
        if self._now_s() >= self._renew_at_s:
            async with self._asking:
                if self._now_s() >= self._renew_at_s:
                    await self._renew()
        return self._token

    def forget(self, token: str) -> None:
        """It was refused: ask for another, unless that was done already."""
        if token == self._token:
            self._renew_at_s = 0.0

    async def _renew(self) -> None:
        now_s = int(self._now_s())
        claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._account.token_uri,
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S,
        }
        assertion = jwt.encode(
            claims,
            self._account.private_key,
            algorithm="RS256",
            headers={"kid": self._account.private_key_id},
        )
        response = await self._http.post(
            self._account.token_uri, data={"grant_type": GRANT, "assertion": assertion}
        )
        if response.status_code != 200:
            raise httpx.RequestError(f"token refused with {response.status_code}: {response.text[:200]}")
        try:
            grant = msgspec.json.decode(response.content, type=_Grant)
        except msgspec.MsgspecError as error:
            raise httpx.RequestError(f"token malformed: {error}") from error
        self._token = grant.access_token
        self._renew_at_s = self._now_s() + grant.expires_in - RENEW_BEFORE_S


class FcmChannel:
    """See the module. `base_url` is a setting, so that tests stay on loopback."""

    def __init__(self, account: ServiceAccount, *, base_url: str, timeout_s: float) -> None:
        self._http = httpx.AsyncClient(timeout=timeout_s, trust_env=False, follow_redirects=False)
        self._tokens = TokenSource(self._http, account)
        self._url = f"{base_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._timeout_s = timeout_s

    async def send(self, address: str, message: Message) -> Outcome:
        """See `Channel.send`; `address` is a registration token."""
        body = {"message": fcm_message(address, message)}
        try:
            async with asyncio.timeout(self._timeout_s):
                token = await self._tokens.token()
                response = await self._post(token, body)
                if response.status_code == 401:
                    self._tokens.forget(token)
                    response = await self._post(await self._tokens.token(), body)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Retry(reason_of(f"{type(error).__name__}: {error}"))
        return outcome_of(response)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def _post(self, token: str, body: dict[str, Any]) -> httpx.Response:
        return await self._http.post(self._url, json=body, headers={"Authorization": f"Bearer {token}"})


def outcome_of(response: httpx.Response) -> Outcome:
    """By FCM's error codes. A bare 404 is a wrong address of ours, not a device that is gone."""
    status = response.status_code
    if status == 200:
        return Sent()
    failure = _failure(response)
    codes = {detail.error_code for detail in failure.details}
    reason = reason_of(f"{status} {' '.join(sorted(codes)) or failure.status} {failure.message}")
    if "UNREGISTERED" in codes:
        return Gone()
    if "SENDER_ID_MISMATCH" in codes:
        return Rejected(reason)
    if status in (401, 403, 404, 408, 429) or status >= 500:
        # 401, 403 and 404 are mended by ops, in the credentials; until then the message waits.
        return Retry(reason, retry_after_s(response.headers.get("retry-after"), utc_now()))
    return Rejected(reason)


def _failure(response: httpx.Response) -> _Error:
    if len(response.content) > MAX_ANSWER_BYTES:
        return _Error()
    try:
        return msgspec.json.decode(response.content, type=_Failure).error
    except msgspec.MsgspecError:
        return _Error(message=response.text[:200])


def fcm_message(token: str, message: Message) -> dict[str, Any]:
    """The `Message` resource."""
    return {
        "token": token,
        "data": dict(message.data),
        "notification": {"title": message.title, "body": message.body},
        "android": {
            "priority": "HIGH",
            "ttl": f"{message.ttl_s}s",
            "notification": {"sound": "default", "tag": message.topic},
        },
        "apns": {
            "headers": {
                "apns-priority": "10",
                "apns-expiration": str(int(message.expires_at.timestamp())),
                "apns-collapse-id": message.topic[:MAX_COLLAPSE_ID_BYTES],
            },
            # The count of unread things is the app's to know; 1 says that there is something.
            "payload": {"aps": {"sound": "default", "badge": 1}},
        },
    }
