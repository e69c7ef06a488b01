"""What a person wants to be told, over which channel, and when to be left alone. Pure.

In-app notifications and sockets are not a matter of preference: they are always there.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from msgspec import Meta, field

from matcher.errors import FieldError, InvalidRequest
from matcher.notifications.channel import ChannelName
from matcher.notifications.rules import Kind
from matcher.serialization import WireStruct

# Everybody is pushed to unless they say no; mail is for those who ask for it.
DEFAULTS: Mapping[ChannelName, bool] = {
    ChannelName.FCM: True,
    ChannelName.WEBPUSH: True,
    ChannelName.MAIL: False,
}

ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5, description="HH:MM")]


class QuietHours(WireStruct):
    """From `start` until `end` by the person's clock, every day; over midnight when `end` is earlier."""

    start: ClockTime
    end: ClockTime
    time_zone: Annotated[str, Meta(min_length=1, max_length=60, description="IANA name: Africa/Cairo")]


class Choices(WireStruct):
    """Channels of one kind of message."""

    fcm: bool = DEFAULTS[ChannelName.FCM]
    webpush: bool = DEFAULTS[ChannelName.WEBPUSH]
    mail: bool = DEFAULTS[ChannelName.MAIL]


class PreferencesUpdate(WireStruct):
    """All preferences; kinds that are not named go back to the defaults."""

    types: dict[Kind, Choices] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None


class Preferences(WireStruct):
    """What is in force, each kind spelt out. `version` is 0 until something was chosen."""

    types: dict[Kind, Choices]
    quiet_hours: QuietHours | None
    version: int


def check(update: PreferencesUpdate) -> None:
    """InvalidRequest for hours that no clock can keep."""
    quiet = update.quiet_hours
    if quiet is None:
        return
    if quiet.start == quiet.end:
        message = "must differ from start; switch kinds off in `types` to be left alone all day"
        raise InvalidRequest(errors=[FieldError("/quietHours/end", message)])
    try:
        ZoneInfo(quiet.time_zone)
    except (KeyError, ValueError, OSError) as error:
        message = "must be a time zone of the IANA database, for example Africa/Cairo"
        raise InvalidRequest(errors=[FieldError("/quietHours/timeZone", message)]) from error


def in_force(choices: Mapping[str, Mapping[str, bool]], quiet: Any, version: int) -> Preferences:
    """Stored choices with the defaults filled in; kinds and channels of another revision are passed over."""
    return Preferences(
        types={
            kind: Choices(
                **{str(name): choices.get(kind, {}).get(name, DEFAULTS[name]) for name in ChannelName}
            )
            for kind in Kind
        },
        quiet_hours=quiet,
        version=version,
    )


def quiet_until(quiet: QuietHours | None, now: datetime) -> datetime | None:
    """The end (UTC) of the quiet hours that `now` lies in; None outside of them.

    By the wall clock: on the days when clocks change, a night is an hour shorter or longer.
    """
    if quiet is None:
        return None
    zone = ZoneInfo(quiet.time_zone)
    local = now.astimezone(zone)
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    clock = local.time()
    over_midnight = end < start
    if over_midnight:
        if end <= clock < start:
            return None
    elif not start <= clock < end:
        return None
    day = local.date() + timedelta(days=1 if over_midnight and clock >= start else 0)
    ends_at = datetime.combine(day, end, zone).astimezone(UTC)
    # In the hour that comes twice, the first `end` may be over already.
    return ends_at if ends_at > now else datetime.combine(day, end.replace(fold=1), zone).astimezone(UTC)
