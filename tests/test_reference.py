"""The generated pages: current, complete, and generated from rules that every route has."""

from collections import Counter

import pytest
from litestar import Litestar

from matcher.accounts.access import Access
from matcher.app import create_app
from matcher.errors import MatcherError
from matcher.reference import ROLES, coded_errors, http_rules, outcome, pages
from matcher.settings import Settings, repository_root
from matcher.sockets import RULES, SocketRequests


@pytest.fixture(scope="module")
def app() -> Litestar:
    return create_app(Settings())


def test_the_pages_in_docs_are_current(app: Litestar) -> None:
    folder = repository_root() / "docs" / "reference"
    for name, text in pages(app, RULES).items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: run scripts/generate-docs"


def test_every_route_has_an_access_rule(app: Litestar) -> None:
    assert [call for call, access in http_rules(app).items() if access is None] == []


def test_every_socket_method_has_an_access_rule() -> None:
    class Anything:
        def __getattr__(self, name: str) -> object:
            return None

    anything: object = Anything()
    requests = SocketRequests(anything, anything, anything)  # type: ignore[arg-type]  # never called
    assert RULES.keys() == requests.methods


@pytest.mark.parametrize("access", Access)
def test_a_rule_has_an_outcome_for_each_role(access: Access) -> None:
    outcomes = [outcome(access, role) for role in ROLES]
    assert set(outcomes) <= {"yes", "401", "403"}
    assert (outcomes[0] == "yes") is (access is Access.PUBLIC)


def test_codes_are_unique_and_each_says_what_to_do() -> None:
    errors = coded_errors()
    assert [code for code, count in Counter(error.code for error in errors).items() if count > 1] == []
    for error in errors:
        assert (error.__doc__ or "").strip().endswith("."), error
        assert error.title != MatcherError.title or error is MatcherError, f"{error} has no title of its own"
        assert 400 <= error.status <= 599
