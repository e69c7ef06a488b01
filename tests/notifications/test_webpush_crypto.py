import jwt
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from matcher.notifications.webpush_crypto import (
    MAX_PLAINTEXT_BYTES,
    RECORD_BYTES,
    Sender,
    authorization,
    decode_base64url,
    decode_keys,
    encode_base64url,
    encrypt,
    public_bytes,
)
from tests.notifications.browser import Browser

# RFC 8291, appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
BROWSER_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SENDER_PUBLIC = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
    "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

BROWSER = Browser.new()


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decode_base64url(text)), ec.SECP256R1())


def test_the_rfcs_example_is_reproduced_byte_by_byte() -> None:
    sender = Sender(private_key(SENDER_PRIVATE), decode_base64url(SALT))
    assert encode_base64url(public_bytes(sender.private)) == SENDER_PUBLIC
    assert encrypt(PLAINTEXT, decode_keys(BROWSER_PUBLIC, AUTH), sender) == decode_base64url(BODY)


def test_the_receiver_of_these_tests_reads_the_rfcs_example() -> None:
    browser = Browser(private_key(BROWSER_PRIVATE), decode_base64url(AUTH))
    assert browser.keys == {"p256dh": BROWSER_PUBLIC, "auth": AUTH}
    assert browser.decrypt(decode_base64url(BODY)) == PLAINTEXT


@given(st.binary(max_size=MAX_PLAINTEXT_BYTES))
def test_what_is_encrypted_is_read_by_the_browser_alone(plaintext: bytes) -> None:
    body = encrypt(plaintext, decode_keys(**BROWSER.keys))
    assert len(body) <= RECORD_BYTES
    assert BROWSER.decrypt(body) == plaintext
    with pytest.raises(InvalidTag):
        Browser.new().decrypt(body)


def test_no_two_messages_share_a_key_or_a_salt() -> None:
    bodies = {encrypt(b"same", decode_keys(**BROWSER.keys))[:86] for _ in range(20)}
    assert len(bodies) == 20


def test_a_longer_text_than_one_record_is_refused() -> None:
    with pytest.raises(ValueError, match="3993"):
        encrypt(b"x" * (MAX_PLAINTEXT_BYTES + 1), decode_keys(**BROWSER.keys))


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        (BROWSER_PUBLIC, "AAAA"),
        (BROWSER_PUBLIC, "not base64!!"),
        (BROWSER_PUBLIC[:-2], AUTH),
        (encode_base64url(b"\x04" + bytes(64)), AUTH),  # no point of the curve
        (encode_base64url(b"\x02" + decode_base64url(BROWSER_PUBLIC)[1:33]), AUTH),  # compressed
        ("é", AUTH),
    ],
)
def test_keys_that_nobody_could_read_with_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError, match=r"auth|base64url|p256dh|[Ii]nvalid"):
        decode_keys(p256dh, auth)


def test_keys_may_come_with_padding() -> None:
    assert decode_keys(BROWSER_PUBLIC + "=", AUTH + "==") == decode_keys(BROWSER_PUBLIC, AUTH)


def test_the_authorization_names_us_to_one_push_service_for_half_a_day() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    header = authorization(key, "https://push.example", "mailto:ops@example.com", now_s=1_000_000.7)
    token, _, public = header.removeprefix("vapid t=").partition(", k=")
    assert decode_base64url(public) == public_bytes(key)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT"}
    claims = jwt.decode(
        token, key.public_key(), ["ES256"], audience="https://push.example", options={"verify_exp": False}
    )
    assert claims == {"aud": "https://push.example", "exp": 1_043_200, "sub": "mailto:ops@example.com"}
