"""Refusals of the vehicles package."""

from matcher.errors import MatcherError


class UnknownMake(MatcherError):
    """This vehicle make is not known; GET /api/v1/vehicle-makes lists those that are."""

    code = "unknown_make"
    status = 422
    title = "Unknown make"


class MalformedVin(MatcherError):
    """A VIN has 17 characters: digits and Latin letters without I, O and Q; read it again from the car."""

    code = "malformed_vin"
    status = 400
    title = "Malformed VIN"


class InvalidVin(MatcherError):
    """The check digit of this VIN is wrong, so a character was misread; read it again from the car."""

    code = "invalid_vin"
    status = 422
    title = "Invalid VIN"
