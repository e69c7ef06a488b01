"""FCM against a server of its protocol: the token endpoint checks the grant, messages:send checks the message."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from matcher.errors import ConfigurationError
from matcher.notifications.channel import Gone, Rejected, Retry, Sent
from matcher.notifications.fcm import FcmChannel, ServiceAccount, TokenSource, read_service_account
from tests.notifications.factories import ORDER_ID, SENT_AT, SHOP_ID, message
from tests.notifications.web import Answer, Request, serve

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
EMAIL = "push@test-project.example"


@dataclass
class Firebase:
    """Google's side: grants tokens for true assertions, takes messages with a granted token."""

    port: int = 0
    grants: list[dict[str, Any]] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    messages: list[dict[str, Any]] = field(default_factory=list)
    sends: int = 0
    answers: list[Answer] = field(default_factory=list)  # given first, one a send
    grant_answer: Answer | None = None
    expires_in: int = 3600

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def account(self) -> ServiceAccount:
        return ServiceAccount("test-project", EMAIL, PEM, "key-1", f"{self.url}/token")

    async def handle(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._grant(request)
        assert (request.method, request.path) == ("POST", "/v1/projects/test-project/messages:send")
        self.sends += 1
        if request.headers["authorization"].removeprefix("Bearer ") not in self.valid:
            return failure(401, "UNAUTHENTICATED")
        if self.answers:
            return self.answers.pop(0)
        self.messages.append(checked(request.json["message"]))
        return Answer(200, {"name": f"projects/test-project/messages/{self.sends}"})

    def _grant(self, request: Request) -> Answer:
        if self.grant_answer is not None:
            return self.grant_answer
        form = request.form
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert jwt.get_unverified_header(form["assertion"])["kid"] == "key-1"
        claims = jwt.decode(
            form["assertion"], KEY.public_key(), ["RS256"], audience=f"{self.url}/token", issuer=EMAIL
        )
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["exp"] - claims["iat"] == 3600
        self.grants.append(claims)
        token = f"granted-{len(self.grants)}"
        self.valid.add(token)
        return Answer(200, {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"})


def checked(sent: dict[str, Any]) -> dict[str, Any]:
    """The message, as strictly as the service reads it."""
    assert set(sent) <= {"token", "data", "notification", "android", "apns"}
    assert sent["token"]
    assert all(isinstance(value, str) for value in sent["data"].values())
    assert not any(
        name in ("from", "message_type") or name.startswith(("google", "gcm")) for name in sent["data"]
    )
    assert sent["android"]["priority"] in ("NORMAL", "HIGH")
    assert sent["android"]["ttl"].endswith("s")
    assert int(sent["android"]["ttl"][:-1]) <= 28 * 86_400
    assert len(sent["apns"]["headers"]["apns-collapse-id"].encode()) <= 64
    assert all(isinstance(value, str) for value in sent["apns"]["headers"].values())
    return sent


def failure(status: int, name: str, code: str | None = None, **headers: str) -> Answer:
    """An error as Google's APIs write it."""
    details = (
        [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    )
    error = {"code": status, "message": "Told so.", "status": name, "details": details}
    return Answer(
        status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.fixture
async def firebase() -> AsyncIterator[Firebase]:
    service = Firebase()
    async with serve(service.handle) as service.port:
        yield service


@asynccontextmanager
async def open_channel(firebase: Firebase, timeout_s: float = 5.0) -> AsyncIterator[FcmChannel]:
    channel = FcmChannel(firebase.account, base_url=firebase.url, timeout_s=timeout_s)
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture
async def channel(firebase: Firebase) -> AsyncIterator[FcmChannel]:
    async with open_channel(firebase) as channel:
        yield channel


async def test_a_message_carries_what_the_contract_names(firebase: Firebase, channel: FcmChannel) -> None:
    assert await channel.send("device-token", message()) == Sent()
    [sent] = firebase.messages
    assert sent["token"] == "device-token"
    assert sent["data"] == {"type": "new-parts-order", "orderId": ORDER_ID, "shopId": SHOP_ID}
    assert (sent["android"]["priority"], sent["android"]["ttl"]) == ("HIGH", "7200s")
    assert sent["apns"]["payload"]["aps"] == {"sound": "default", "badge": 1}
    ends = int((SENT_AT + timedelta(hours=2)).timestamp())
    assert sent["apns"]["headers"]["apns-expiration"] == str(ends)


async def test_one_grant_serves_many_messages_at_once(firebase: Firebase, channel: FcmChannel) -> None:
    outcomes = await asyncio.gather(*(channel.send(f"token-{n}", message()) for n in range(20)))
    assert outcomes == [Sent()] * 20
    assert len(firebase.grants) == 1


async def test_a_token_that_was_revoked_is_replaced_within_the_same_attempt(
    firebase: Firebase, channel: FcmChannel
) -> None:
    await channel.send("token", message())
    firebase.valid.clear()
    assert await channel.send("token", message()) == Sent()
    assert (len(firebase.grants), firebase.sends) == (2, 3)


async def test_credentials_that_are_refused_again_are_retried_later(
    firebase: Firebase, channel: FcmChannel
) -> None:
    firebase.answers = [failure(401, "UNAUTHENTICATED"), failure(401, "UNAUTHENTICATED")]
    assert isinstance(await channel.send("token", message()), Retry)
    assert firebase.sends == 2


async def test_access_tokens_are_renewed_a_minute_before_they_expire(firebase: Firebase) -> None:
    now_s = 1_000_000.0
    async with httpx.AsyncClient(trust_env=False) as http:
        source = TokenSource(http, firebase.account, now_s=lambda: now_s)
        firebase.grant_answer = Answer(200, {"access_token": "first", "expires_in": 600})
        assert await source.token() == "first"
        firebase.grant_answer = Answer(200, {"access_token": "second", "expires_in": 600})
        now_s += 539.9
        assert await source.token() == "first"
        now_s += 0.1
        assert await source.token() == "second"
        source.forget("first")  # a late refusal of the token before
        firebase.grant_answer = Answer(500)
        assert await source.token() == "second"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failure(404, "NOT_FOUND", "UNREGISTERED"), Gone()),
        (failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Rejected("400 INVALID_ARGUMENT Told so.")),
        (failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Retry("429 QUOTA_EXCEEDED Told so.")),
        (
            failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Retry_After="90"),
            Retry("429 QUOTA_EXCEEDED Told so.", 90.0),
        ),
        (failure(503, "UNAVAILABLE", "UNAVAILABLE", Retry_After="7"), Retry("503 UNAVAILABLE Told so.", 7.0)),
        (failure(500, "INTERNAL", "INTERNAL"), Retry("500 INTERNAL Told so.")),
        (
            failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
            Rejected("403 SENDER_ID_MISMATCH Told so."),
        ),
        (failure(403, "PERMISSION_DENIED"), Retry("403 PERMISSION_DENIED Told so.")),
        # A wrong address of ours must not cost anybody the device.
        (Answer(404, b"<html>no such page</html>"), Retry("404 <html>no such page</html>")),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Rejected("302")),
        (Answer(400, b'{"error": [1]}'), Rejected('400 {"error": [1]}')),
    ],
)
async def test_each_answer_has_its_outcome(
    firebase: Firebase, channel: FcmChannel, answer: Answer, expected: object
) -> None:
    firebase.answers = [answer]
    assert await channel.send("token", message()) == expected
    assert await channel.send("token", message()) == Sent()


def hangs(firebase: Firebase) -> None:
    firebase.answers = [Answer(hang=True)]


def talks_garbage(firebase: Firebase) -> None:
    firebase.answers = [Answer(raw=b"\x00\x01 not HTTP at all\r\n\r\n")]


def hangs_up(firebase: Firebase) -> None:
    firebase.answers = [Answer(raw=b"")]


def refuses_the_grant(firebase: Firebase) -> None:
    firebase.grant_answer = Answer(400, {"error": "invalid_grant"})


def grants_garbage(firebase: Firebase) -> None:
    firebase.grant_answer = Answer(200, b"<html>")


def never_grants(firebase: Firebase) -> None:
    firebase.grant_answer = Answer(hang=True)


@pytest.mark.parametrize(
    "fault", [hangs, talks_garbage, hangs_up, refuses_the_grant, grants_garbage, never_grants]
)
async def test_a_failing_service_is_tried_again_later(
    firebase: Firebase, fault: Callable[[Firebase], None]
) -> None:
    fault(firebase)
    async with open_channel(firebase, timeout_s=0.3) as channel:
        assert isinstance(await channel.send("token", message()), Retry)
        firebase.grant_answer = None
        assert await channel.send("token", message()) == Sent()


async def test_a_service_that_is_away_is_tried_again_later(firebase: Firebase) -> None:
    account = ServiceAccount("p", EMAIL, PEM, "key-1", "http://127.0.0.1:9/token")
    channel = FcmChannel(account, base_url="http://127.0.0.1:9", timeout_s=1)
    assert isinstance(await channel.send("token", message()), Retry)
    await channel.close()


def test_a_service_account_is_read_from_the_consoles_file(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    fields = {"type": "service_account", "project_id": "p", "client_email": EMAIL, "private_key": PEM}
    path.write_text(json.dumps(fields))
    account = read_service_account(str(path))
    assert (account.project_id, account.token_uri) == ("p", "https://oauth2.googleapis.com/token")


@pytest.mark.parametrize("text", ["", "{}", '{"project_id": 1}', None, "broken key"])
def test_what_is_no_service_account_stops_the_start_and_keeps_its_secrets(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "account.json"
    if text == "broken key":
        text = json.dumps({"project_id": "p", "client_email": EMAIL, "private_key": "a secret"})
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="MATCHER_FCM_CREDENTIALS_FILE") as refusal:
        read_service_account(str(path))
    assert "secret" not in str(refusal.value)
