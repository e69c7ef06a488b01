"""Mail by SMTP: plain text, one person a message, encrypted on its way."""

import asyncio
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import aiosmtplib

from matcher.notifications.channel import Message, Outcome, Rejected, Retry, Sent, reason_of

MAX_BODY_CHARS = 10_000

Encryption = Literal["starttls", "tls", "off"]

_NOT_ABOUT_THIS_MAIL = (
    aiosmtplib.SMTPAuthenticationError,
    aiosmtplib.SMTPNotSupported,
    aiosmtplib.SMTPConnectResponseError,
    aiosmtplib.SMTPHeloError,
)


class MailChannel:
    """See the module. `encryption`: STARTTLS (587), TLS from the first byte (465), or none (a relay on loopback)."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        encryption: Encryption,
        user: str = "",
        password: str = "",
        timeout_s: float,
        ca_file: str | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._encryption = encryption
        self._user = user or None
        self._password = password or None
        self._timeout_s = timeout_s
        self._ca_file = ca_file

    async def send(self, address: str, message: Message) -> Outcome:
        """See `Channel.send`; `address` is a mail address."""
        try:
            mail = mail_of(self._sender, address, message)
        except ValueError as error:
            return Rejected(reason_of(f"address: {error}"))
        try:
            async with asyncio.timeout(self._timeout_s):
                await aiosmtplib.send(
                    mail,
                    hostname=self._host,
                    port=self._port,
                    username=self._user,
                    password=self._password,
                    use_tls=self._encryption == "tls",
                    start_tls=self._encryption == "starttls",
                    cert_bundle=self._ca_file,
                    timeout=self._timeout_s,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            return _refused(refusal.code, refusal.message)
        except _NOT_ABOUT_THIS_MAIL as error:
            return Retry(reason_of(repr(error)))  # ops mend it in the settings; until then the message waits
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error.code, error.message)
        except TimeoutError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        except (aiosmtplib.SMTPException, OSError) as error:
            return Retry(reason_of(repr(error)))
        return Sent()

    async def close(self) -> None:
        """Nothing is kept open."""


def _refused(code: int, text: str) -> Outcome:
    reason = reason_of(f"{code} {text}")
    return Rejected(reason) if code >= 500 else Retry(reason)


def mail_of(sender: str, address: str, message: Message) -> EmailMessage:
    """The mail; ValueError for an address that would break its headers."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = address
    mail["Subject"] = " ".join(message.title.split())
    mail["Date"] = format_datetime(message.sent_at)
    # The same at each attempt, so that a mail that arrives twice is seen to be one.
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2].rstrip('>')}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    mail.set_content(message.body[:MAX_BODY_CHARS])
    return mail
