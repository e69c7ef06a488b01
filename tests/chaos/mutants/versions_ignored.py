"""`matcher` whose hub hands every event on, however old; its publishers are late, as they may be."""

from matcher import cli
from matcher.realtime import buffer
from tests.chaos.mutants import late_publisher  # noqa: F401  imported for what it does


class Forgetful(dict[str, int]):
    """Never knows a version."""

    def get(self, key: str, default: int = -1) -> int:  # type: ignore[override]  # as the hub calls it
        return default


class Recipient(buffer._Recipient):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.versions = Forgetful()


buffer._Recipient = Recipient  # type: ignore[misc]  # the sin

if __name__ == "__main__":
    cli.main()
