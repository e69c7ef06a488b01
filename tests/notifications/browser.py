"""A browser's end of web push, written from the RFCs for itself, so that it shares no mistake with ours."""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass
class Browser:
    """A subscription's secrets."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes
    received: list[bytes] = field(default_factory=list)

    @classmethod
    def new(cls) -> "Browser":
        return cls(ec.generate_private_key(ec.SECP256R1()), os.urandom(16))

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": _text(self.public), "auth": _text(self.auth)}

    def subscription(self, endpoint: str) -> dict[str, Any]:
        """What `PushSubscription.toJSON()` gives."""
        return {"endpoint": endpoint, "expirationTime": None, "keys": self.keys}

    def decrypt(self, body: bytes) -> bytes:
        """The plaintext of a push of one record."""
        salt, record_size, key_length = body[:16], int.from_bytes(body[16:20]), body[20]
        sender, record = body[21 : 21 + key_length], body[21 + key_length :]
        assert len(record) <= record_size
        assert key_length == 65
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.private.exchange(ec.ECDH(), point)
        # HKDF by hand: every output here fits one block of SHA-256.
        combined = _expand(_mac(self.auth, shared), b"WebPush: info\0" + self.public + sender)
        secret = _mac(salt, combined)
        key = _expand(secret, b"Content-Encoding: aes128gcm\0")[:16]
        nonce = _expand(secret, b"Content-Encoding: nonce\0")[:12]
        padded = AESGCM(key).decrypt(nonce, record, None)
        content, delimiter = padded[:-1], padded[-1:]
        assert delimiter == b"\x02", "the last record, unpadded"
        return content


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _expand(key: bytes, info: bytes) -> bytes:
    return _mac(key, info + b"\x01")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
