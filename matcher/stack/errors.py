"""What can go wrong with the embedded stack, each with the step that helps."""

from matcher.errors import MatcherError


class StackError(MatcherError):
    """The embedded stack cannot do this."""

    code = "stack_failed"
    status = 500
    title = "Embedded stack"


class NotInstalled(StackError):
    """PostgreSQL with PostGIS and Redis are not installed; run scripts/bootstrap."""

    code = "stack_not_installed"


class WrongMajorVersion(StackError):
    """The data was made by a PostgreSQL version that is not installed."""

    code = "stack_wrong_postgres_version"


class StartFailed(StackError):
    """A server of the stack did not start; its log tells why."""

    code = "stack_start_failed"


class StopFailed(StackError):
    """A server of the stack did not stop in time; see its log and try again."""

    code = "stack_stop_failed"


class ForeignServer(StackError):
    """Processes that this stack does not know serve its data; stop them first."""

    code = "stack_foreign_server"


class LockBusy(StackError):
    """Another command is starting or stopping this stack; wait for it to finish."""

    code = "stack_lock_busy"


class DamagedState(StackError):
    """The stack's state file cannot be read; `matcher stack reset` starts anew (its data is lost)."""

    code = "stack_damaged_state"
