from hypothesis import given
from hypothesis import strategies as st

from matcher.accounts.schemas import normalised_email
from matcher.errors import InvalidRequest


@given(st.one_of(st.text(max_size=40), st.emails()))
def test_an_email_is_refused_or_has_one_form(text: str) -> None:
    try:
        email = normalised_email(text)
    except InvalidRequest:
        return
    # ASCII, so that PostgreSQL's lower() (a constraint of the table) agrees whatever its locale.
    assert email.isascii()
    assert email == email.lower()
    assert normalised_email(email.upper()) == email


@given(st.from_regex(r"[a-z0-9._+-]{1,20}@([a-z0-9]{1,10}\.){1,3}[a-z]{2,6}", fullmatch=True))
def test_usual_addresses_are_accepted(text: str) -> None:
    assert normalised_email(f" {text.upper()} ") == text
