"""What can go wrong with a backup, each with the step that helps."""

from matcher.errors import MatcherError


class BackupError(MatcherError):
    """The backup cannot be made or restored."""

    code = "backup_failed"
    status = 500
    title = "Backup"


class DamagedBackup(BackupError):
    """The file is no whole backup of this service; nothing was changed. Use another one."""

    code = "backup_damaged"


class WrongRevision(BackupError):
    """The backup was made by another version of the schema; restore it with the release that made it."""

    code = "backup_wrong_revision"


class DatabaseInUse(BackupError):
    """The database is in use; stop the API and worker processes first."""

    code = "backup_database_in_use"


class NoTool(BackupError):
    """pg_dump and pg_restore of the server's major version are not installed."""

    code = "backup_no_tool"
