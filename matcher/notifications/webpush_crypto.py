"""Web push on the wire: message encryption (RFC 8291 over RFC 8188) and VAPID (RFC 8292). Pure but for randomness.

Written on `cryptography`, because the usual library is unmaintained (docs/adr/0046). The tests hold it
against the RFC's own vector and against a receiver of their own.
"""

import base64
import binascii
import os
import struct
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096  # one record holds a whole message (RFC 8291 section 4)
MAX_PLAINTEXT_BYTES = RECORD_BYTES - 103  # 86 of header, 16 of tag, 1 of delimiter
SALT_BYTES = 16
AUTH_BYTES = 16
POINT_BYTES = 65  # an uncompressed point of P-256
TOKEN_LIFE_S = 12 * 3600  # RFC 8292 allows 24 h; half of it forgives clocks that differ

_LAST_RECORD = b"\x02"


class Keys(NamedTuple):
    """What a browser gave us to encrypt for it."""

    public: bytes  # p256dh
    auth: bytes


class Sender(NamedTuple):
    """The key and salt of one message. Fresh for each: only the RFC's vector hands them in."""

    private: ec.EllipticCurvePrivateKey
    salt: bytes

    @classmethod
    def fresh(cls) -> "Sender":
        """Never used before."""
        return cls(ec.generate_private_key(ec.SECP256R1()), os.urandom(SALT_BYTES))


def decode_keys(p256dh: str, auth: str) -> Keys:
    """The keys of a subscription, proved to be a point of the curve and a secret; ValueError says what is wrong."""
    public, secret = decode_base64url(p256dh), decode_base64url(auth)
    if len(public) != POINT_BYTES:
        raise ValueError("p256dh must hold an uncompressed point of P-256")
    _point(public)
    if len(secret) != AUTH_BYTES:
        raise ValueError("auth must hold 16 bytes")
    return Keys(public, secret)


def encrypt(plaintext: bytes, keys: Keys, sender: Sender | None = None) -> bytes:
    """The body of a push: an aes128gcm header (RFC 8188 section 2.1) and one record."""
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise ValueError(f"a push holds at most {MAX_PLAINTEXT_BYTES} bytes")
    sender = sender or Sender.fresh()
    ours = public_bytes(sender.private)
    shared = sender.private.exchange(ec.ECDH(), _point(keys.public))
    # RFC 8291 section 3.4: the authentication secret joins what Diffie and Hellman agreed on.
    input_key = _hkdf(keys.auth, shared, b"WebPush: info\0" + keys.public + ours, 32)
    content_key = _hkdf(sender.salt, input_key, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(sender.salt, input_key, b"Content-Encoding: nonce\0", 12)
    header = sender.salt + struct.pack(">IB", RECORD_BYTES, len(ours)) + ours
    return header + AESGCM(content_key).encrypt(nonce, plaintext + _LAST_RECORD, None)


def authorization(key: ec.EllipticCurvePrivateKey, origin: str, subject: str, now_s: float) -> str:
    """The `Authorization` header that tells a push service of `origin` who we are (RFC 8292 section 3)."""
    claims = {"aud": origin, "exp": int(now_s) + TOKEN_LIFE_S, "sub": subject}
    return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={encode_base64url(public_bytes(key))}"


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encode_base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """With or without padding; ValueError for anything else."""
    try:
        unpadded = text.rstrip("=").encode("ascii")
        return base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error


def _point(public: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)


def _hkdf(salt: bytes, key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(key)
