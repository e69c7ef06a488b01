from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from matcher.errors import ConfigurationError
from matcher.notifications.channel import ChannelName
from matcher.notifications.channels import open_channels, web_push_key
from matcher.notifications.webpush_crypto import POINT_BYTES, decode_base64url
from matcher.settings import Settings
from tests.notifications.test_fcm import EMAIL, PEM


def pem(key: Any) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


@pytest.fixture
def vapid(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "vapid.pem"
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    return {"MATCHER_VAPID_KEY_FILE": str(path), "MATCHER_VAPID_SUBJECT": "mailto:ops@example.com"}


@pytest.fixture
def fcm(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "account.json"
    text = PEM.replace("\n", "\\n")
    path.write_text(f'{{"project_id": "p", "client_email": "{EMAIL}", "private_key": "{text}"}}')
    return {"MATCHER_FCM_CREDENTIALS_FILE": str(path)}


MAIL = {"MATCHER_SMTP_HOST": "127.0.0.1", "MATCHER_MAIL_FROM": "Clutch <noreply@clutch.example>"}


async def opened(variables: dict[str, str]) -> set[ChannelName]:
    async with open_channels(Settings.from_env(variables)) as channels:
        return set(channels)


async def test_a_channel_is_open_when_it_is_set_up(vapid: dict[str, str], fcm: dict[str, str]) -> None:
    assert await opened({}) == set()
    assert await opened(vapid) == {ChannelName.WEBPUSH}
    assert await opened(fcm) == {ChannelName.FCM}
    assert await opened(MAIL) == {ChannelName.MAIL}
    assert await opened(vapid | fcm | MAIL) == set(ChannelName)


def test_browsers_get_the_public_half_of_the_key(vapid: dict[str, str]) -> None:
    assert web_push_key(Settings()) is None
    public = web_push_key(Settings.from_env(vapid))
    assert public is not None
    assert len(decode_base64url(public)) == POINT_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
        None,
    ],
)
def test_a_file_without_a_key_of_p_256_stops_the_start(vapid: dict[str, str], content: bytes | None) -> None:
    path = Path(vapid["MATCHER_VAPID_KEY_FILE"])
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="MATCHER_VAPID_KEY_FILE"):
        web_push_key(Settings.from_env(vapid))


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"MATCHER_PUSH_ALLOW_PRIVATE": "on", "MATCHER_ENV": "production"}, "MATCHER_PUSH_ALLOW_PRIVATE"),
        ({"MATCHER_VAPID_KEY_FILE": "key.pem"}, "MATCHER_VAPID_SUBJECT"),
        ({"MATCHER_SMTP_HOST": "mail.example"}, "MATCHER_MAIL_FROM"),
        (
            MAIL
            | {
                "MATCHER_SMTP_HOST": "mail.example",
                "MATCHER_SMTP_PASSWORD": "secret",
                "MATCHER_SMTP_ENCRYPTION": "off",
            },
            "MATCHER_SMTP_ENCRYPTION",
        ),
        ({"MATCHER_PUSH_TRIES_MAX": "0"}, "MATCHER_PUSH_TRIES_MAX"),
    ],
)
def test_settings_that_cannot_be_safe_are_refused(variables: dict[str, str], named: str) -> None:
    strong = {"MATCHER_JWT_SECRET": "x" * 40}
    with pytest.raises(ConfigurationError, match=named):
        Settings.from_env(strong | variables)
