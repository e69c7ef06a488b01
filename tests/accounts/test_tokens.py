import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from matcher.accounts.errors import InvalidRefreshToken, InvalidToken, TokenExpired
from matcher.accounts.tokens import (
    MAX_TOKEN_CHARS,
    OUTSIDE_CLOCK_SKEW_S,
    OWN_CLOCK_SKEW_S,
    OutsideClaims,
    OwnClaims,
    TokenSigner,
)
from matcher.errors import ConfigurationError
from matcher.ids import uuid7
from matcher.settings import Settings

NOW_S = 1_800_000_000.0
SETTINGS = Settings(jwt_secret="s" * 40)
SIGNER = TokenSigner(SETTINGS)
USER, SESSION = uuid7(), uuid7()
ISSUER = "https://issuer.example"
OUTSIDE = {"iss": ISSUER, "sub": "abc", "aud": "matcher-api", "iat": int(NOW_S), "exp": int(NOW_S) + 60}
OWN = {
    "iss": "matcher",
    "sub": str(USER),
    "sid": str(SESSION),
    "se": 1,
    "jti": "j",
    "iat": int(NOW_S),
    "exp": int(NOW_S) + 900,
}


def own(**changed: Any) -> str:
    claims = {name: value for name, value in (OWN | changed).items() if value is not None}
    return jwt.encode(claims, SETTINGS.jwt_secret, algorithm="HS256")


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_an_access_token_says_whose_it_is_until_it_expires() -> None:
    token = SIGNER.issue_access(USER, SESSION, 3, NOW_S)
    expires_s = NOW_S + SETTINGS.access_token_s
    assert SIGNER.read_access(token, expires_s - 1) == OwnClaims(USER, SESSION, 3, expires_s)
    with pytest.raises(TokenExpired):
        SIGNER.read_access(token, expires_s)


def test_an_access_token_holds_no_role() -> None:
    token = SIGNER.issue_access(USER, SESSION, 3, NOW_S)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "sid", "se", "jti", "iat", "exp"}


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_an_unsigned_token_is_refused(algorithm: str) -> None:
    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(OWN)}."
    with pytest.raises(InvalidToken):
        SIGNER.read_access(unsigned, NOW_S)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_our_own_key_with_another_algorithm_is_refused(algorithm: str) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read_access(jwt.encode(OWN, SETTINGS.jwt_secret * 2, algorithm=algorithm), NOW_S)
    token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{own().split('.', 1)[1]}"
    with pytest.raises(InvalidToken):
        SIGNER.read_access(token, NOW_S)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read_access(jwt.encode(OWN, "t" * 40, algorithm="HS256"), NOW_S)


@given(position=st.integers(min_value=0), character=st.sampled_from("AZaz09-_.="))
def test_a_token_with_one_character_changed_is_refused_or_says_the_same(
    position: int, character: str
) -> None:
    token = own()
    at = position % len(token)
    changed = token[:at] + character + token[at + 1 :]
    try:
        # The last character of a base64 part holds bits that decoding drops.
        assert SIGNER.read_access(changed, NOW_S) == SIGNER.read_access(token, NOW_S)
    except InvalidToken:
        assert changed != token


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "other"},
        {"iss": None},
        {"sub": None},
        {"sub": "not-a-uuid"},
        {"sid": None},
        {"sid": 7},
        {"se": None},
        {"se": "x"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"iat": None},
        {"iat": int(NOW_S) + OWN_CLOCK_SKEW_S + 1},
        {"nbf": int(NOW_S) + 3600},
    ],
)
def test_claims_that_are_missing_or_wrong_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read_access(own(**changed), NOW_S)


@given(st.text(max_size=60))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read_access(text, NOW_S)
    with pytest.raises(InvalidRefreshToken):
        SIGNER.read_refresh(text)


@pytest.mark.parametrize(
    "text",
    [
        "\ud800.a.b",
        f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.a",
        f"e30.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.a",
        f"{part({'alg': 'HS256'})}.{base64.urlsafe_b64encode(b'[]').decode()}.a",
        f"{base64.urlsafe_b64encode(b'[]').decode()}.e30.a",
        f"{part({'alg': ['HS256'], 'kid': {}})}.{part(OUTSIDE)}.a",
        f"{part({'alg': 'RS256', 'kid': []})}.{part(OUTSIDE)}.a",
    ],
)
def test_a_hostile_token_is_refused_and_never_a_crash(text: str, outside: TokenSigner) -> None:
    for signer in (SIGNER, outside):
        with pytest.raises(InvalidToken):
            signer.read_access(text, NOW_S)
        with pytest.raises(InvalidRefreshToken):
            signer.read_refresh(text)


def test_an_endless_token_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read_access(own(padding="x" * MAX_TOKEN_CHARS), NOW_S)


@given(generation=st.integers(min_value=0, max_value=2**31))
def test_a_refresh_token_says_its_session_and_generation(generation: int) -> None:
    token = SIGNER.issue_refresh(SESSION, generation)
    claims = SIGNER.read_refresh(token)
    assert (claims.session_id, claims.generation) == (SESSION, generation)
    assert token == SIGNER.issue_refresh(SESSION, generation)


def test_a_refresh_token_of_another_key_is_refused() -> None:
    other = TokenSigner(replace(SETTINGS, jwt_secret="t" * 40))
    with pytest.raises(InvalidRefreshToken):
        SIGNER.read_refresh(other.issue_refresh(SESSION, 1))


def test_a_refresh_token_cannot_be_moved_to_the_next_generation() -> None:
    raw = bytearray(base64.urlsafe_b64decode(SIGNER.issue_refresh(SESSION, 1) + "=="))
    raw[19] += 1
    with pytest.raises(InvalidRefreshToken):
        SIGNER.read_refresh(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def outside(rsa_key: rsa.RSAPrivateKey, tmp_path: Path) -> TokenSigner:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1", "use": "sig"}]}))
    return TokenSigner(
        replace(
            SETTINGS,
            issuer_url=ISSUER,
            issuer_audience="matcher-api",
            issuer_jwks_file=str(tmp_path / "jwks.json"),
        )
    )


def signed(key: Any, algorithm: str = "RS256", kid: str | None = "k1", **changed: Any) -> str:
    claims = {name: value for name, value in (OUTSIDE | changed).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def test_a_token_of_the_outside_issuer_is_read_without_its_roles(
    outside: TokenSigner, rsa_key: rsa.RSAPrivateKey
) -> None:
    token = signed(rsa_key, name="  A. Buyer ", role="admin", roles=["admin"])
    assert outside.read_access(token, NOW_S) == OutsideClaims(f"{ISSUER}|abc", "A. Buyer", NOW_S + 60)
    assert isinstance(outside.read_access(signed(rsa_key, kid=None), NOW_S), OutsideClaims)


def test_our_own_tokens_are_still_read_beside_an_outside_issuer(outside: TokenSigner) -> None:
    assert isinstance(outside.read_access(own(), NOW_S), OwnClaims)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "someone-else"},
        {"aud": None},
        {"iss": "https://other.example"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\x00b"},
        {"exp": None},
        {"iat": int(NOW_S) + OUTSIDE_CLOCK_SKEW_S + 1},
        {"kid": "k2"},
    ],
)
def test_an_outside_token_with_wrong_claims_is_refused(
    outside: TokenSigner, rsa_key: rsa.RSAPrivateKey, changed: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        outside.read_access(signed(rsa_key, **changed), NOW_S)


def test_an_outside_token_expires(outside: TokenSigner, rsa_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(TokenExpired):
        outside.read_access(signed(rsa_key), NOW_S + 60 + OUTSIDE_CLOCK_SKEW_S)


def test_only_the_pinned_algorithm_of_the_outside_issuer_is_accepted(
    outside: TokenSigner, rsa_key: rsa.RSAPrivateKey
) -> None:
    with pytest.raises(InvalidToken):
        outside.read_access(signed(rsa_key, "RS384"), NOW_S)
    with pytest.raises(InvalidToken):
        outside.read_access(signed(ec.generate_private_key(ec.SECP256R1()), "ES256"), NOW_S)
    unsigned = f"{part({'alg': 'none', 'kid': 'k1'})}.{part(OUTSIDE)}."
    with pytest.raises(InvalidToken):
        outside.read_access(unsigned, NOW_S)


def test_the_public_key_is_no_shared_secret(outside: TokenSigner, rsa_key: rsa.RSAPrivateKey) -> None:
    # The classic confusion: HS256 keyed with the public key's text. PyJWT refuses to make it, so it is made by hand.
    pem = rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(OUTSIDE)}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(body.encode(), pem)
    with pytest.raises(InvalidToken):
        outside.read_access(f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}", NOW_S)


def test_an_outside_issuer_with_a_shared_secret_cannot_sign_for_us() -> None:
    secret = "o" * 40
    signer = TokenSigner(
        replace(
            SETTINGS,
            issuer_url=ISSUER,
            issuer_audience="matcher-api",
            issuer_secret=secret,
            issuer_algorithm="HS256",
        )
    )
    assert isinstance(signer.read_access(signed(secret, "HS256", kid="any"), NOW_S), OutsideClaims)
    with pytest.raises(InvalidToken):
        signer.read_access(jwt.encode(OWN, secret, algorithm="HS256"), NOW_S)
    with pytest.raises(InvalidToken):
        signer.read_access(jwt.encode(OUTSIDE, SETTINGS.jwt_secret, algorithm="HS256"), NOW_S)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer_url": "matcher", "issuer_secret": "o" * 40, "issuer_algorithm": "HS256"},
        {"issuer_secret": "o" * 40, "issuer_algorithm": "none"},
        {"issuer_secret": "o" * 40, "issuer_algorithm": "RS256"},
        {"issuer_secret": "short", "issuer_algorithm": "HS256"},
        {"issuer_jwks_file": "jwks.json", "issuer_algorithm": "HS256"},
        {"issuer_jwks_file": "jwks.json"},
        {"issuer_jwks_file": "missing.json"},
        {"issuer_jwks_file": "bad.json"},
        {"issuer_jwks_file": "shape.json"},
    ],
)
def test_an_outside_issuer_that_cannot_work_is_refused_at_the_start(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jwks.json").write_text('{"keys": []}')
    Path("bad.json").write_text("{")
    Path("shape.json").write_text("[1]")
    with pytest.raises(ConfigurationError):
        TokenSigner(replace(SETTINGS, **{"issuer_url": ISSUER, "issuer_audience": "a", **changed}))
