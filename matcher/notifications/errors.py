"""Refusals of notifications."""

from matcher.errors import MatcherError


class PushEndpointRefused(MatcherError):
    """This web push endpoint cannot be used: it must be an https address on the public internet."""

    code = "push_endpoint_refused"
    status = 422
    title = "Push endpoint refused"


class PlatformUnavailable(MatcherError):
    """This service does not push to this platform; its operators have not set it up."""

    code = "platform_unavailable"
    status = 422
    title = "Platform unavailable"


class DeliveryExpired(MatcherError):
    """What this delivery tells is of no use any more; there is nothing to retry."""

    code = "delivery_expired"
    status = 409
    title = "Delivery expired"
