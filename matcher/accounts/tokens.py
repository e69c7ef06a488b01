"""Tokens, pure: access JWTs of our own and of an outside issuer, and refresh tokens.

Owns what a token says and whether it is genuine at a given moment. Must not read a clock or a database:
whether a session has ended is `identities.py`'s question. Roles are never taken from a token.
"""

import base64
import binascii
import hashlib
import hmac
import math
import struct
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import msgspec

from matcher.accounts.errors import InvalidRefreshToken, InvalidToken, TokenExpired
from matcher.errors import ConfigurationError
from matcher.ids import uuid7
from matcher.settings import Settings

OWN_ISSUER = "matcher"
OWN_ALGORITHM = "HS256"
MAX_TOKEN_CHARS = 8192  # outside issuers put much into theirs; no header that uvicorn takes is much larger
MAX_SUBJECT_CHARS = 255  # OpenID Connect Core section 2 bounds `sub` so
OUTSIDE_CLOCK_SKEW_S = 30
# Our own tokens begin at PostgreSQL's second; a process may lag behind it.
OWN_CLOCK_SKEW_S = 5

_SHARED = frozenset({"HS256", "HS384", "HS512"})
_PUBLIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
# What reading a stranger's token may raise: header and claims are anybody's JSON before the signature is checked.
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError)
_REFRESH = struct.Struct(">16sI")  # session, generation
_MAC_BYTES = hashlib.sha256().digest_size


class OwnClaims(msgspec.Struct, frozen=True):
    """A genuine access token of ours: whose, of which session, at which session epoch."""

    user_id: UUID
    session_id: UUID
    epoch: int
    expires_s: float


class OutsideClaims(msgspec.Struct, frozen=True):
    """A genuine token of the outside issuer. `subject` is "<issuer>|<sub>"."""

    subject: str
    name: str
    expires_s: float


class RefreshClaims(msgspec.Struct, frozen=True):
    """A genuine refresh token: which session, which generation."""

    session_id: UUID
    generation: int


class TokenSigner:
    """Issues and reads tokens. ConfigurationError when the outside issuer's settings cannot work."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret
        self._access_s = settings.access_token_s
        # A key of its own, so that no access token can ever be read as a refresh token or the reverse.
        self._refresh_key = hmac.digest(settings.jwt_secret.encode(), b"matcher refresh token", "sha256")
        self._outside = _OutsideIssuer(settings) if settings.issuer_url else None

    def issue_access(self, user_id: UUID, session_id: UUID, epoch: int, now_s: float) -> str:
        """An access token that lives `access_token_s` from `now_s`."""
        claims = {
            "iss": OWN_ISSUER,
            "sub": str(user_id),
            "sid": str(session_id),
            "se": epoch,
            "jti": str(uuid7()),
            "iat": int(now_s),
            "exp": int(now_s) + self._access_s,
        }
        return jwt.encode(claims, self._secret, algorithm=OWN_ALGORITHM)

    def read_access(self, token: str, now_s: float) -> OwnClaims | OutsideClaims:
        """What a bearer token says; InvalidToken when it is not genuine, TokenExpired when it was."""
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidToken
        if self._outside and _claimed_issuer(token) == self._outside.issuer:
            return self._outside.read(token, now_s)
        claims = _verified(token, self._secret, OWN_ALGORITHM, issuer=OWN_ISSUER, audience=None)
        _check_times(claims, now_s, late_s=0, early_s=OWN_CLOCK_SKEW_S)
        try:
            return OwnClaims(
                UUID(claims["sub"]), UUID(claims["sid"]), int(claims["se"]), float(claims["exp"])
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InvalidToken from error

    def issue_refresh(self, session_id: UUID, generation: int) -> str:
        """The refresh token of a session's generation: always the same one, so a repeat answers it again."""
        body = _REFRESH.pack(session_id.bytes, generation)
        return base64.urlsafe_b64encode(body + self._mac(body)).rstrip(b"=").decode()

    def read_refresh(self, token: str) -> RefreshClaims:
        """What a refresh token says; InvalidRefreshToken unless we issued it."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"==", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRefreshToken from error
        if len(raw) != _REFRESH.size + _MAC_BYTES:
            raise InvalidRefreshToken
        body, mac = raw[: _REFRESH.size], raw[_REFRESH.size :]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise InvalidRefreshToken
        session, generation = _REFRESH.unpack(body)
        return RefreshClaims(UUID(bytes=session), generation)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._refresh_key, body, "sha256")


class _OutsideIssuer:
    """Reads the tokens of one outside issuer: pinned issuer, audience and algorithm; its roles are ignored."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.issuer_url
        self._audience = settings.issuer_audience
        self._algorithm = settings.issuer_algorithm
        if self.issuer == OWN_ISSUER:
            raise ConfigurationError(f"MATCHER_ISSUER_URL must not be {OWN_ISSUER!r}, our own issuer.")
        self._secret = ""
        self._keys: dict[str | None, Any] = {}
        if settings.issuer_jwks_file:
            self._keys = _keys_of_file(settings.issuer_jwks_file, self._algorithm)
        else:
            self._secret = _checked_secret(settings.issuer_secret, self._algorithm)

    def read(self, token: str, now_s: float) -> OutsideClaims:
        claims = _verified(
            token, self._key_of(token), self._algorithm, issuer=self.issuer, audience=self._audience
        )
        _check_times(claims, now_s, late_s=OUTSIDE_CLOCK_SKEW_S, early_s=OUTSIDE_CLOCK_SKEW_S)
        subject, name = claims["sub"], claims.get("name")
        if not 0 < len(subject) <= MAX_SUBJECT_CHARS or "\x00" in subject:
            raise InvalidToken
        shown = name[:200].replace("\x00", "").strip() if isinstance(name, str) else ""
        return OutsideClaims(f"{self.issuer}|{subject}", shown, float(claims["exp"]))

    def _key_of(self, token: str) -> Any:
        if self._secret:
            return self._secret
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except _UNREADABLE as error:
            raise InvalidToken from error
        if key_id in self._keys:
            return self._keys[key_id]
        # A set of one key may be meant without naming it (RFC 7517 leaves `kid` optional).
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        raise InvalidToken


def _keys_of_file(path: str, algorithm: str) -> dict[str | None, Any]:
    if algorithm not in _PUBLIC:
        raise ConfigurationError(
            f"MATCHER_ISSUER_ALGORITHM must be one of {', '.join(sorted(_PUBLIC))} with a JWKS file."
        )
    try:
        listed = msgspec.json.decode(Path(path).read_bytes())["keys"]
        keys = {
            data.get("kid"): jwt.PyJWK(data, algorithm).key
            for data in listed
            if data.get("use", "sig") == "sig" and data.get("alg", algorithm) == algorithm
        }
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigurationError(f"MATCHER_ISSUER_JWKS_FILE cannot be read as a JWKS: {error}") from error
    if not keys:
        raise ConfigurationError(f"MATCHER_ISSUER_JWKS_FILE holds no signing key for {algorithm}.")
    return keys


def _checked_secret(secret: str, algorithm: str) -> str:
    if algorithm not in _SHARED:
        raise ConfigurationError(
            f"MATCHER_ISSUER_ALGORITHM must be one of {', '.join(sorted(_SHARED))} with MATCHER_ISSUER_SECRET."
        )
    # RFC 7518 section 3.2: a key as long as the hash's output, at least.
    needed = int(algorithm[2:]) // 8
    if len(secret.encode()) < needed:
        raise ConfigurationError(f"MATCHER_ISSUER_SECRET must hold at least {needed} bytes for {algorithm}.")
    return secret


def _claimed_issuer(token: str) -> Any:
    # Only chooses the verifier, which then checks the issuer under the signature.
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except _UNREADABLE as error:
        raise InvalidToken from error


def _verified(token: str, key: Any, algorithm: str, *, issuer: str, audience: str | None) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            # Times are checked against the moment that is passed in.
            options={
                "require": ["iss", "sub", "iat", "exp"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": audience is not None,
            },
        )
    except _UNREADABLE as error:
        raise InvalidToken from error


def _check_times(claims: dict[str, Any], now_s: float, *, late_s: float, early_s: float) -> None:
    moments = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
    if not all(type(moment) in (int, float) and math.isfinite(moment) for moment in moments):
        raise InvalidToken
    expires_s, issued_s, not_before_s = moments
    if now_s >= expires_s + late_s:
        raise TokenExpired
    if max(issued_s, not_before_s) > now_s + early_s:
        raise InvalidToken("The access token is not valid yet; check the clocks.")
