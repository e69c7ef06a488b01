"""The channels that the settings switch on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from matcher.errors import ConfigurationError
from matcher.notifications.channel import Channel, ChannelName
from matcher.notifications.fcm import FcmChannel, read_service_account
from matcher.notifications.mail import MailChannel
from matcher.notifications.webpush import WebPushChannel
from matcher.notifications.webpush_crypto import encode_base64url, public_bytes
from matcher.settings import Settings


@asynccontextmanager
async def open_channels(settings: Settings) -> AsyncIterator[Mapping[ChannelName, Channel]]:
    """Every channel that is set up; ConfigurationError for one that is set up wrongly."""
    channels: dict[ChannelName, Channel] = {}
    async with AsyncExitStack() as stack:
        if settings.fcm_credentials_file:
            account = read_service_account(settings.fcm_credentials_file)
            fcm = FcmChannel(account, base_url=settings.fcm_url, timeout_s=settings.push_timeout_s)
            stack.push_async_callback(fcm.close)
            channels[ChannelName.FCM] = fcm
        if (key := read_vapid_key(settings)) is not None:
            webpush = WebPushChannel(
                key,
                settings.vapid_subject,
                timeout_s=settings.push_timeout_s,
                allow_private=settings.push_allow_private,
            )
            stack.push_async_callback(webpush.close)
            channels[ChannelName.WEBPUSH] = webpush
        if settings.smtp_host:
            channels[ChannelName.MAIL] = open_mail(settings)
        yield channels


def open_mail(settings: Settings) -> MailChannel:
    """The mail channel; it holds nothing open."""
    return MailChannel(
        settings.smtp_host,
        settings.smtp_port,
        sender=settings.mail_from,
        encryption=settings.smtp_encryption,
        user=settings.smtp_user,
        password=settings.smtp_password,
        timeout_s=settings.push_timeout_s,
    )


def read_vapid_key(settings: Settings) -> ec.EllipticCurvePrivateKey | None:
    """The key of web push; None when it is not set up."""
    if not settings.vapid_key_file:
        return None
    try:
        key = load_pem_private_key(Path(settings.vapid_key_file).read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError("MATCHER_VAPID_KEY_FILE holds no private key in PEM form.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError("MATCHER_VAPID_KEY_FILE must hold a key of the curve P-256 (prime256v1).")
    return key


def web_push_key(settings: Settings) -> str | None:
    """The public half as browsers take it (base64url); None when web push is not set up."""
    key = read_vapid_key(settings)
    return None if key is None else encode_base64url(public_bytes(key))
