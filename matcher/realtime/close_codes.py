"""The WebSocket close codes of the contract, and what the client does about each.

4000 to 4999 are the application's (RFC 6455 section 7.4.2). Below 4500: come back; from 4500 on: the
same attempt would fail again, so a client must not repeat it by itself.
"""

from enum import IntEnum
from typing import NamedTuple

MAX_REASON_BYTES = 123  # a control frame carries 125 bytes (RFC 6455 section 5.5), two of them are the code


class CloseCode(IntEnum):
    """Why the server ends a socket."""

    GOING_AWAY = 4000  # this process stops; another one serves: reconnect at once
    TOO_SLOW = 4001  # frames piled up; cutting frees the memory, and the cursor brings the rest
    TOKEN_EXPIRED = 4002  # reconnect with a new token (or send `refresh` in time)
    OVERLOADED = 4003  # back off, then reconnect
    BAD_FRAME = 4500  # a client bug: the reason names it
    UNAUTHORIZED = 4501  # sign in again
    FORBIDDEN = 4502  # not for this account
    TOO_MANY_CONNECTIONS = 4503  # close another socket of this account first


class Close(NamedTuple):
    """An ended socket: the code, and a sentence that says what to do."""

    code: CloseCode
    reason: str


def close(code: CloseCode, reason: str) -> Close:
    """A close whose reason fits into a control frame: cut at a character, never in one."""
    encoded = reason.encode("utf-8", "replace")
    return Close(code, encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore"))
