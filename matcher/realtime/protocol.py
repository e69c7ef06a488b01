"""The client's side of `clutch.v1`, sans I/O: frames in, actions out. No clock, no socket, no domain.

One `Protocol` per connection. Whatever the client sends, `receive` returns an action and never raises;
the connection (`connection.py`) carries actions out. Server frames are built in `frames.py`.
"""

from typing import Annotated, Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from matcher.errors import InvalidRequest
from matcher.realtime.close_codes import Close, CloseCode, close
from matcher.realtime.cursor import MAX_CURSOR_CHARS
from matcher.serialization import check_text

SUBPROTOCOL = "clutch.v1"
MAX_FRAME_BYTES = 64 * 1024  # a quote of 100 lines with notes takes about 40 KiB
MAX_TOKEN_CHARS = 8_192  # outside issuers put group lists into tokens; headers end at 8 KiB as well
MAX_REF_CHARS = 64
MAX_METHOD_CHARS = 64
MAX_IDEMPOTENCY_KEY_CHARS = 255

_Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)]
# Longer than our own, so that a cursor of a later version is "not covered" and no error.
_CursorText: TypeAlias = Annotated[str, Meta(max_length=4 * MAX_CURSOR_CHARS)]


class _Frame(
    msgspec.Struct,
    tag_field="type",
    rename="camel",
    forbid_unknown_fields=True,
    kw_only=True,
    frozen=True,
):
    pass


class Connect(_Frame, tag="connect", frozen=True):
    """The first frame: who I am, and what I have."""

    token: _Token | None = None
    cursor: _CursorText | None = None
    shop_id: UUID | None = None


class _RequestFrame(_Frame, tag="request", frozen=True):
    ref: Annotated[str, Meta(min_length=1, max_length=MAX_REF_CHARS)]
    method: Annotated[str, Meta(min_length=1, max_length=MAX_METHOD_CHARS)]
    idempotency_key: str | None = None
    data: msgspec.Raw | UnsetType = UNSET


class Request(NamedTuple):
    """A call with the body of an HTTP route; `ref` comes back in the reply."""

    ref: str
    method: str
    idempotency_key: str | None
    data: Any  # decoded
    payload: bytes  # `data` as it was sent, for the fingerprint of a repeatable call


class Ack(_Frame, tag="ack", frozen=True):
    """I have everything up to this cursor."""

    cursor: _CursorText


class Refresh(_Frame, tag="refresh", frozen=True):
    """A newer token of the same account."""

    token: _Token


class Refuse(NamedTuple):
    """Answer the request with this problem and go on."""

    ref: str
    error: InvalidRequest


Action: TypeAlias = Connect | Request | Ack | Refresh | Refuse | Close

_decoder = msgspec.json.Decoder(Connect | _RequestFrame | Ack | Refresh)


class Protocol:
    """The state of one connection: before or after `connect`, or ended."""

    __slots__ = ("_closed", "_connected")

    def __init__(self) -> None:
        self._connected = False
        self._closed = False

    def receive(self, frame: str | bytes) -> Action | None:
        """The action for a text (str) or binary (bytes) frame; None once a Close has been returned."""
        if self._closed:
            return None
        action = self._read(frame)
        if isinstance(action, Close):
            self._closed = True
        return action

    def _read(self, frame: str | bytes) -> Action:
        if isinstance(frame, bytes):
            return _bad("Binary frame: send text frames, each one JSON object.")
        parsed = _parse(frame)
        if isinstance(parsed, Close):
            return parsed
        if isinstance(parsed, Connect):
            if self._connected:
                return _bad("Second connect: open another socket for another recipient.")
            self._connected = True
            return parsed
        if not self._connected:
            return _bad('The first frame must be {"type": "connect", …}.')
        if isinstance(parsed, Request) and not _is_key(parsed.idempotency_key):
            return Refuse(
                parsed.ref, InvalidRequest("idempotencyKey must hold 1 to 255 printable characters.")
            )
        return parsed


def _parse(frame: str) -> Connect | Request | Ack | Refresh | Close:
    try:
        body = frame.encode()
        if len(body) > MAX_FRAME_BYTES:
            return _bad("Frame over 64 KiB: send less in one frame.")
        check_text(body)
        parsed = _decoder.decode(body)
        return _request(parsed) if isinstance(parsed, _RequestFrame) else parsed
    except InvalidRequest as error:
        return _bad(error.detail.replace("body", "frame"))
    except msgspec.ValidationError as error:
        return _bad(f"Malformed frame: {error}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _bad("Not JSON: send one JSON object in each text frame.")


def _request(frame: _RequestFrame) -> Request:
    payload = b"null" if isinstance(frame.data, UnsetType) else bytes(frame.data)
    return Request(frame.ref, frame.method, frame.idempotency_key, msgspec.json.decode(payload), payload)


def _is_key(key: str | None) -> bool:
    return key is None or (1 <= len(key) <= MAX_IDEMPOTENCY_KEY_CHARS and key.isprintable())


def _bad(reason: str) -> Close:
    return close(CloseCode.BAD_FRAME, reason)
