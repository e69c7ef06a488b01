"""Mail against a real SMTP server on loopback."""

import asyncio
import email
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from matcher.notifications.channel import Rejected, Retry, Sent
from matcher.notifications.mail import MailChannel, mail_of
from tests.notifications.certificates import certificate
from tests.notifications.factories import message

SENDER = "Clutch <noreply@clutch.example>"


@dataclass
class Mailbox:
    """What the server took. `refusals`: its reply to RCPT or DATA, given once each."""

    mails: list[Any] = field(default_factory=list)
    refuse_recipient: str | None = None
    refuse_mail: str | None = None

    async def handle_RCPT(  # noqa: N802  the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  as above
        if self.refuse_mail:
            return self.refuse_mail
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=default)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, mail, bool(session.ssl)))
        return "250 OK"


@asynccontextmanager
async def serve(
    mailbox: Mailbox, *, implicit: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(mailbox, loop=loop, enable_SMTPUTF8=True, **options))
        return sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=implicit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in sessions:
            if isinstance(one.transport, asyncio.Transport):
                one.transport.abort()
        await asyncio.sleep(0)  # the sessions see that they are closed


def open_channel(port: int, **options: Any) -> MailChannel:
    given: dict[str, Any] = {"sender": SENDER, "encryption": "off", "timeout_s": 5.0} | options
    return MailChannel("127.0.0.1", port, **given)


async def test_a_mail_is_plain_text_to_one_person() -> None:
    mailbox, told = Mailbox(), message(body="Two parts.\nNear you: ١٢ كم")
    async with serve(mailbox) as port:
        assert await open_channel(port).send("person@example.com", told) == Sent()
    [(sender, recipients, mail, _)] = mailbox.mails
    assert (sender, recipients) == ("noreply@clutch.example", ["person@example.com"])
    assert isinstance(mail, EmailMessage)
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r", "").strip() == "Two parts.\nNear you: ١٢ كم"
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, "person@example.com", "New parts order")
    assert mail["Message-ID"] == f"<{told.id}@clutch.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == told.sent_at


@pytest.mark.parametrize("how", ["starttls", "tls"])
async def test_the_way_is_encrypted_and_the_password_goes_that_way_only(tmp_path: Path, how: Any) -> None:
    path = certificate(tmp_path, "localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    seen: list[Any] = []

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        seen.append((data.login, data.password, bool(session.ssl) or how == "tls"))
        return AuthResult(success=data.password == b"right")

    mailbox = Mailbox()
    options: dict[str, Any] = {"authenticator": authenticate, "auth_required": how == "starttls"}
    options |= (
        {"tls_context": tls, "require_starttls": True} if how == "starttls" else {"auth_require_tls": False}
    )
    async with serve(mailbox, implicit=tls if how == "tls" else None, **options) as port:
        given: dict[str, Any] = {"encryption": how, "user": "clutch", "ca_file": str(path)}
        channel = MailChannel("localhost", port, sender=SENDER, timeout_s=5.0, password="right", **given)
        assert await channel.send("person@example.com", message()) == Sent()
        wrong = MailChannel("localhost", port, sender=SENDER, timeout_s=5.0, password="wrong", **given)
        assert isinstance(await wrong.send("person@example.com", message()), Retry)
        given["ca_file"] = None
        stranger = MailChannel("localhost", port, sender=SENDER, timeout_s=1.0, password="right", **given)
        assert isinstance(await stranger.send("person@example.com", message()), Retry)
    assert seen == [(b"clutch", b"right", True), (b"clutch", b"wrong", True)]
    assert len(mailbox.mails) == 1


async def test_a_server_without_encryption_gets_no_mail() -> None:
    mailbox = Mailbox()
    async with serve(mailbox) as port:
        outcome = await open_channel(port, encryption="starttls").send("person@example.com", message())
    assert isinstance(outcome, Retry)
    assert mailbox.mails == []


def refuse_recipient(reply: str) -> Mailbox:
    return Mailbox(refuse_recipient=reply)


def refuse_mail(reply: str) -> Mailbox:
    return Mailbox(refuse_mail=reply)


@pytest.mark.parametrize("where", [refuse_recipient, refuse_mail])
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 no such person", Rejected("550 no such person")),
        ("451 try later", Retry("451 try later")),
    ],
)
async def test_each_refusal_has_its_outcome(
    where: Callable[[str], Mailbox], reply: str, expected: object
) -> None:
    async with serve(where(reply)) as port:
        assert await open_channel(port).send("person@example.com", message()) == expected


async def test_a_server_that_is_away_or_silent_is_tried_later() -> None:
    assert isinstance(await open_channel(9).send("person@example.com", message()), Retry)
    async with silent() as port:
        outcome = await open_channel(port, timeout_s=0.2).send("person@example.com", message())
    assert isinstance(outcome, Retry)


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server that takes connections and says nothing."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y"])
async def test_an_address_cannot_add_headers(address: str) -> None:
    mailbox = Mailbox()
    async with serve(mailbox) as port:
        assert isinstance(await open_channel(port).send(address, message()), Rejected)
    assert mailbox.mails == []


def test_a_title_cannot_add_headers() -> None:
    mail = mail_of(SENDER, "a@example.com", message(title="Hello\r\nBcc: b@example.com"))
    assert mail["Subject"] == "Hello Bcc: b@example.com"
    assert mail["Bcc"] is None
