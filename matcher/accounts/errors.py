"""What can go wrong with accounts, sessions and staff. Owns the codes; must not decide when they are raised."""

from matcher.errors import Forbidden, MatcherError, NotFound, TooManyRequests, Unauthorized


class EmailTaken(MatcherError):
    """An account with this email exists; sign in, or register with another email."""

    code = "email_taken"
    status = 409
    title = "Email taken"


class InvalidCredentials(Unauthorized):
    """Email or password is wrong."""

    # One answer for an unknown account and a wrong password: it must not tell which accounts exist.
    code = "invalid_credentials"
    title = "Wrong email or password"


class WrongPassword(Forbidden):
    """The current password is wrong."""

    # 403, not 401: the caller is signed in, and clients answer 401 by refreshing their tokens.
    code = "wrong_password"
    title = "Wrong password"


class TooManyAttempts(TooManyRequests):
    """Too many failed attempts from this address or for this account; wait for the time that `Retry-After` names."""

    code = "too_many_attempts"
    title = "Too many attempts"


class TokenExpired(Unauthorized):
    """The access token has expired; get a new one from /auth/refresh."""

    code = "token_expired"
    title = "Token expired"


class InvalidToken(Unauthorized):
    """The access token is not valid, or its session has ended; sign in again."""

    code = "invalid_token"
    title = "Invalid token"


class InvalidRefreshToken(Unauthorized):
    """The refresh token is not valid, or its session has ended; sign in again."""

    code = "invalid_refresh_token"
    title = "Invalid refresh token"


class RefreshTokenReused(Unauthorized):
    """This refresh token was used before, so someone else may hold it: the session has ended; sign in again."""

    code = "refresh_token_reused"
    title = "Refresh token reused"


class UnknownAccount(NotFound):
    """No account has this email; the person registers first, then you add them."""

    code = "unknown_account"
    title = "Unknown account"


class AlreadyStaff(MatcherError):
    """This person works in the shop already; remove them first to give them another role."""

    code = "already_staff"
    status = 409
    title = "Already staff"


class LastOwner(MatcherError):
    """A shop needs an owner; make someone else an owner first."""

    code = "last_owner"
    status = 409
    title = "Last owner"
