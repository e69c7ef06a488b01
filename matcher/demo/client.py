"""The story's HTTP client: accounts that sign in, requests that are retried safely, refusals with their code.

Owns: tokens, retries, problem documents. Must not know the story.
"""

import asyncio
import hashlib
import hmac
import ssl
import time
from typing import Any
from uuid import uuid4

import httpx

from matcher.errors import MatcherError

BASE = "/api/v1"
_ATTEMPTS = 4
_LAST_DOUBLING = 4  # of the pause after a lost connection: 1.6 s
_RETRIED = frozenset({429, 503})
_LONGEST_WAIT_S = 10.0
_REFRESH_BEFORE_S = 120.0  # a token is renewed so long before its end, so that no request meets it


class Refused(MatcherError):
    """The service refused a request."""

    code = "demo_refused"
    title = "Refused"

    def __init__(self, request: str, problem: dict[str, Any]) -> None:
        """`problem` is the service's problem document."""
        self.reason = str(problem.get("code"))
        self.answered = int(problem.get("status", 0))
        errors = "; ".join(f"{error['pointer']} {error['message']}" for error in problem.get("errors", ()))
        super().__init__(
            f"{request}: {self.answered} {self.reason}: {problem.get('detail')} {errors}".strip()
        )


class Unreachable(MatcherError):
    """The service does not answer."""

    code = "demo_unreachable"
    title = "Unreachable"


class Account:
    """Somebody who signs in. Demo accounts are the same in every run, so their password is derived, not stored."""

    def __init__(self, email: str, name: str, role: str, secret: str) -> None:
        """`secret` is the service's token secret: whoever has it could speak for every account anyway."""
        self.email = email
        self.name = name
        self.role = role
        self.user_id = ""
        self.password = hmac.new(secret.encode(), email.encode(), hashlib.sha256).hexdigest()[:32]
        self._access = ""
        self._refresh = ""
        self._renew_at_s = 0.0
        self._renewing = asyncio.Lock()

    def take_tokens(self, tokens: dict[str, Any]) -> None:
        """Keep what register, login or refresh answered."""
        self._access, self._refresh = tokens["accessToken"], tokens["refreshToken"]
        self._renew_at_s = time.monotonic() + tokens["expiresIn"] - _REFRESH_BEFORE_S

    async def token(self, api: "Api") -> str:
        """An access token that is good for a while; renewed when need be."""
        async with self._renewing:
            if time.monotonic() >= self._renew_at_s:
                self.take_tokens(await api.post("/auth/refresh", {"refreshToken": self._refresh}))
        return self._access


class Api:
    """One API process of the service, over HTTP."""

    def __init__(self, origin: str, attempts: int = _ATTEMPTS) -> None:
        """`origin` is like "http://127.0.0.1:8080"; `attempts` at one request, all with one Idempotency-Key."""
        self._origin = origin
        self._attempts = attempts
        # A pool for each account, as in life. One for all made requests wait seconds for a connection while
        # dozens were idle (measured), and the summary would have blamed the service.
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._tls = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # unused here; making one for each pool takes 20 ms

    @property
    def origin(self) -> str:
        """Where the next attempt goes."""
        return self._origin

    @property
    def socket_url(self) -> str:
        """Where the next socket is opened."""
        return f"{self.origin.replace('http', 'ws', 1)}{BASE}/realtime"

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def get(self, path: str, account: Account | None = None, **query: Any) -> Any:
        """GET; the decoded body. Raises Refused, Unreachable."""
        return await self._call("GET", path, account, query=query)

    async def post(self, path: str, body: Any = None, account: Account | None = None) -> Any:
        """POST, with an Idempotency-Key outside /auth, so that repeating it is harmless. Raises as `get`."""
        return await self._call("POST", path, account, body=body)

    async def put(self, path: str, body: Any, account: Account) -> Any:
        """PUT. Raises as `get`."""
        return await self._call("PUT", path, account, body=body)

    async def delete(self, path: str, account: Account) -> Any:
        """DELETE. Raises as `get`."""
        return await self._call("DELETE", path, account)

    async def sign_in(self, account: Account, *, known: bool) -> dict[str, Any]:
        """Sign an account in, or register it when it is not known; its /auth/me. Raises Refused."""
        body = {"email": account.email, "password": account.password}
        if known:
            tokens = await self.post("/auth/login", body)
        else:
            tokens = await self.post("/auth/register", body | {"name": account.name, "role": account.role})
        account.take_tokens(tokens)
        me: dict[str, Any] = await self.get("/auth/me", account)
        account.user_id = me["userId"]
        return me

    async def send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """One attempt. Raises httpx.TransportError."""
        return await client.send(request)

    def may_pass(self, response: httpx.Response) -> bool:
        """Whether the same request may be answered otherwise a moment later."""
        return response.status_code in _RETRIED

    async def _call(
        self,
        method: str,
        path: str,
        account: Account | None,
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
    ) -> Any:
        headers = {"Authorization": f"Bearer {await account.token(self)}"} if account else {}
        if method == "POST" and not path.startswith("/auth"):
            headers["Idempotency-Key"] = str(uuid4())
        client = self._client_of(account)
        for attempt in range(1, self._attempts + 1):
            url = f"{self.origin}{BASE}{path}"
            request = client.build_request(method, url, headers=headers, params=query or None, json=body)
            try:
                response = await self.send(client, request)
            except httpx.TransportError as error:
                if attempt == self._attempts:
                    raise Unreachable(f"{method} {path}: {str(error) or type(error).__name__}") from error
                await asyncio.sleep(0.1 * 2 ** min(attempt, _LAST_DOUBLING))
                continue
            if self.may_pass(response) and attempt < self._attempts:
                await asyncio.sleep(min(float(response.headers.get("Retry-After", 1)), _LONGEST_WAIT_S))
                continue
            break
        if response.status_code >= 400:
            raise Refused(f"{method} {path}", _problem(response))
        return response.json() if response.content else None

    def _client_of(self, account: Account | None) -> httpx.AsyncClient:
        name = account.email if account else ""
        client = self._clients.get(name)
        if client is None:
            # trust_env: a proxy of the environment is not asked for what runs on this machine.
            client = httpx.AsyncClient(timeout=30.0, trust_env=False, verify=self._tls)
            self._clients[name] = client
        return client


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        return {
            "status": response.status_code,
            "code": "no_problem_document",
            "detail": response.text[:200],
        }
    return problem
