"""The one hierarchy of expected failures, and their RFC 9457 form.

Owns: `MatcherError`, the generic leaves that every domain shares, and the problem document. Domains
add leaves of their own in `<domain>/errors.py`. Must not know HTTP frameworks: `http.py` translates.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One bad field: `pointer` is an RFC 6901 JSON pointer into the request body."""

    pointer: str
    message: str


class MatcherError(Exception):
    """Something went wrong."""

    # The docstring of each leaf is its default message, so that the message, the table of codes in the
    # docs and the code that raises cannot disagree.
    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """`extra` members join the problem document (RFC 9457 section 3.2); camelCase names, JSON values."""
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        self.extra = extra or {}
        super().__init__(self.detail)

    def problem(self, instance: str | None = None) -> dict[str, Any]:
        """The problem document (RFC 9457); `instance` is the request id."""
        document: dict[str, Any] = {
            "type": f"urn:matcher:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "instance": instance,
        }
        document["errors"] = [{"pointer": e.pointer, "message": e.message} for e in self.errors]
        return document | self.extra


class InvalidRequest(MatcherError):
    """The request is malformed or out of bounds; `errors` names the fields to correct."""

    code = "invalid_request"
    status = 400
    title = "Invalid request"


class InvalidCursor(MatcherError):
    """This cursor was not made by this list; start again without a cursor."""

    code = "invalid_cursor"
    status = 400
    title = "Invalid cursor"


class Unauthorized(MatcherError):
    """Sign in first: send `Authorization: Bearer <accessToken>`."""

    code = "unauthorized"
    status = 401
    title = "Unauthorized"


class Forbidden(MatcherError):
    """Your role does not allow this."""

    code = "forbidden"
    status = 403
    title = "Forbidden"


class NotFound(MatcherError):
    """There is no such object, or it is not yours."""

    code = "not_found"
    status = 404
    title = "Not found"


class MethodNotAllowed(MatcherError):
    """This path does not take this method; the `Allow` header lists those that it takes."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class VersionConflict(MatcherError):
    """The object has changed since you read it; read it again and repeat the change."""

    code = "version_conflict"
    status = 409
    title = "Version conflict"


class PayloadTooLarge(MatcherError):
    """The request body is larger than this path takes."""

    code = "payload_too_large"
    status = 413
    title = "Payload too large"


class UnsupportedMediaType(MatcherError):
    """Send the body as application/json, not packed."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class TooManyRequests(MatcherError):
    """Too many requests; wait for the time that `Retry-After` names."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"
    headers: Mapping[str, str] = {}  # what is left and when it is full again, where a limit has told


class Overloaded(MatcherError):
    """The service is busy; repeat the request after the time that `Retry-After` names."""

    code = "overloaded"
    status = 503
    title = "Overloaded"


class ConfigurationError(MatcherError):
    """The configuration cannot work; the message names the variable to correct."""

    code = "configuration_error"
    status = 500
    title = "Configuration error"


def all_errors(base: type[MatcherError] = MatcherError) -> Iterator[type[MatcherError]]:
    """Every leaf and branch below `base` that has been imported, depth first."""
    for error in base.__subclasses__():
        yield error
        yield from all_errors(error)
