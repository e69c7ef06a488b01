"""Every table in one metadata, for migrations and for the test that compares them."""

from matcher import models as _shared
from matcher.accounts import models as _accounts
from matcher.db import metadata
from matcher.notifications import models as _notifications
from matcher.quotes import models as _quotes
from matcher.shops import models as _shops

__all__ = ["metadata"]

_LOADED = (_shared, _accounts, _shops, _quotes, _notifications)
