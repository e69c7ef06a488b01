"""A push service of browsers, true to RFC 8030 and RFC 8292: it checks who sends and keeps what each browser gets."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from matcher.notifications.webpush_crypto import decode_base64url
from tests.notifications.browser import Browser
from tests.notifications.web import Answer, Request, serve

SUBJECT = "mailto:ops@example.com"


@dataclass
class PushService:
    """Browsers by the path of their subscription."""

    origin: str = ""
    vapid: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    browsers: dict[str, Browser] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)  # given first, one a request

    def subscribe(self) -> tuple[Browser, str]:
        """A browser, and its subscription as the service stores it."""
        browser = Browser.new()
        path = f"/push/{len(self.browsers)}"
        self.browsers[path] = browser
        return browser, msgspec.json.encode(browser.subscription(self.origin + path)).decode()

    async def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        self._check(request)
        if self.answers:
            return self.answers.pop(0)
        if request.path not in self.browsers:
            return Answer(410, b"gone")
        browser = self.browsers[request.path]
        browser.received.append(browser.decrypt(request.body))
        return Answer(201, b"", {"Location": f"{self.origin}/message/1"})

    def _check(self, request: Request) -> None:
        headers = request.headers
        assert request.method == "POST"
        assert headers["host"] == self.origin.partition("//")[2]
        assert headers["content-encoding"] == "aes128gcm"
        assert int(headers["ttl"]) >= 0
        assert headers["urgency"] in ("very-low", "low", "normal", "high")
        topic = headers["topic"]
        assert len(topic) <= 32
        decode_base64url(topic)
        assert len(request.body) <= 4096
        scheme, _, parameters = headers["authorization"].partition(" ")
        named = dict(part.strip().split("=", 1) for part in parameters.split(","))
        assert scheme == "vapid"
        claims: dict[str, Any] = jwt.decode(
            named["t"], self.vapid.public_key(), ["ES256"], audience=self.origin
        )
        assert claims["sub"] == SUBJECT
        assert claims["exp"] <= time.time() + 86_400
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode_base64url(named["k"]))
        assert public == self.vapid.public_key()


@asynccontextmanager
async def open_push_service(**options: Any) -> AsyncIterator[PushService]:
    """One on loopback, without TLS unless `tls` is given."""
    service = PushService()
    tls = options.get("tls")
    async with serve(service.handle, tls) as port:
        service.origin = f"https://push.example:{port}" if tls else f"http://127.0.0.1:{port}"
        yield service
