"""Refusals of the shops package."""

from matcher.errors import MatcherError


class OnboardingIncomplete(MatcherError):
    """Steps of the onboarding are missing; `missingSteps` names them."""

    code = "onboarding_incomplete"
    status = 409
    title = "Onboarding incomplete"


class OnboardingClosed(MatcherError):
    """This onboarding is completed or has failed; start a new one."""

    code = "onboarding_closed"
    status = 409
    title = "Onboarding closed"


class TooManyOnboardings(MatcherError):
    """This account has too many onboardings in progress; complete one of them first."""

    code = "too_many_onboardings"
    status = 409
    title = "Too many onboardings"


class ShopAlreadyClaimed(MatcherError):
    """This shop has been claimed; if it is yours, ask support."""

    code = "shop_already_claimed"
    status = 409
    title = "Shop already claimed"


class ShopStateConflict(MatcherError):
    """The shop's present status, in `shopStatus`, does not allow this."""

    code = "shop_state"
    status = 409
    title = "Not in this status"


class UnsupportedFile(MatcherError):
    """The file is not a PDF, PNG, JPEG or WebP; its content decides, not its name."""

    code = "unsupported_file"
    status = 422
    title = "Unsupported file"


class TooManyUploads(MatcherError):
    """This account keeps as many files as it may; ask support to remove some."""

    code = "too_many_uploads"
    status = 409
    title = "Too many uploads"


class ImportFailed(MatcherError):
    """The file cannot be imported; the message says why."""

    code = "import_failed"
    status = 422
    title = "Import failed"
