"""Failures of real time that a client is told as a problem object."""

from matcher.errors import MatcherError


class UnknownMethod(MatcherError):
    """There is no such request method; the contract's section 7 lists them."""

    code = "unknown_method"
    status = 404
    title = "Unknown method"
