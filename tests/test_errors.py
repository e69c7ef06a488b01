"""One hierarchy of failures: each has a code and a status of its own, and a message that says what to do."""

import importlib
import pkgutil

import pytest

import matcher
from matcher.errors import FieldError, InvalidRequest, MatcherError, all_errors

for module in pkgutil.walk_packages(matcher.__path__, "matcher."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

# The demo's failures are its own: nobody but its terminal hears of them.
LEAVES = [
    error
    for error in all_errors()
    if not error.__name__.startswith("_") and not error.__module__.startswith("matcher.demo")
]


def test_codes_are_different() -> None:
    codes = [error.code for error in LEAVES]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.code)
def test_every_failure_says_what_to_do(error: type[MatcherError]) -> None:
    assert "code" in vars(error)
    assert error.code.replace("_", "").isalnum()
    assert error.code == error.code.lower()
    assert 400 <= error.status <= 599
    assert error.title != MatcherError.title
    assert (error.__doc__ or "").strip().endswith((".", "…"))
    assert error().problem()["detail"] == (error.__doc__ or "").strip()


def test_a_problem_document_names_fields_and_takes_extra_members() -> None:
    error = InvalidRequest("no", errors=[FieldError("/a", "b")], extra={"more": 1})
    assert error.problem("id") == {
        "type": "urn:matcher:problem:invalid_request",
        "title": "Invalid request",
        "status": 400,
        "detail": "no",
        "code": "invalid_request",
        "instance": "id",
        "errors": [{"pointer": "/a", "message": "b"}],
        "more": 1,
    }
