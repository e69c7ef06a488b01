"""Running and recognising server processes: accounts, ownership by directory, signals, ports.

Owns: every use of /proc and of process ids. Must not know what PostgreSQL or Redis are.
"""

import contextlib
import os
import pwd
import random
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from matcher.stack.errors import NotInstalled, StopFailed

LOOPBACK = "127.0.0.1"

# Below Linux' range for outgoing connections (32768..), so that while the stack is down no outgoing connection
# takes a remembered port; above the well-known ones, so that no system server is ever shadowed.
PORT_RANGE = range(20_000, 32_000)

# Nothing of the caller's environment reaches a server: PGPORT, PGDATA or LC_ALL would change what it does.
SERVER_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that a server runs as."""

    uid: int
    gid: int

    @classmethod
    def for_server(cls, name: str) -> "Account":
        """The caller's own account; for root the account `name` that the server's package made.

        Raises NotInstalled when root has no such account to step down to.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        try:
            entry = pwd.getpwnam(name)
        except KeyError as error:
            raise NotInstalled(
                f"The system account {name!r} is missing (servers do not run as root); run scripts/bootstrap."
            ) from error
        return cls(entry.pw_uid, entry.pw_gid)

    def run(
        self, command: list[str], *, cwd: Path, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end as this account, in `cwd`, without a shell; output is captured, not judged."""
        step_down = os.geteuid() == 0
        return subprocess.run(
            command,
            cwd=cwd,
            env=SERVER_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            umask=0o077,
            user=self.uid if step_down else None,
            group=self.gid if step_down else None,
            extra_groups=[] if step_down else None,
        )

    def own(self, path: Path) -> None:
        """Hand `path` (not its content) over to this account; a no-op for one's own files."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_directory(self, path: Path) -> None:
        """Make `path`, readable by this account alone."""
        path.mkdir(mode=0o700)
        self.own(path)

    def write_private(self, path: Path, text: str) -> None:
        """Write `path` for this account alone (0600), replaced in one step."""
        write_private(path, text, self)


def write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Write `path` with mode 0600 in one step, owned by `account` (None: by the caller).

    Secrets never lie in a file that others can read, not even for a moment; O_EXCL and the rename refuse to
    follow a link that the unprivileged account could have planted for root.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        if account is not None and os.geteuid() == 0:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def processes_in(directory: Path, name: str, account: Account) -> list[int]:
    """Ids of the processes called `name` whose working directory is `directory`, lowest first.

    A process id alone proves nothing: it may have been given to a stranger after a crash or a reboot.
    """
    candidates = [pid for pid in _all_processes() if _name_of(pid) == name]
    return sorted(_working_in(directory, candidates, account))


def is_serving(pid: int, directory: Path, name: str, account: Account) -> bool:
    """Whether process `pid` is called `name` and works in `directory`."""
    return _name_of(pid) == name and pid in _working_in(directory, [pid], account)


def _all_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _name_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return None


def _working_in(directory: Path, pids: list[int], account: Account) -> set[int]:
    if not pids or not directory.is_dir():
        return set()
    # Asked as the account itself: in a container root may lack CAP_SYS_PTRACE, and then cannot look into the
    # processes of another account. Compared by device and inode: paths differ across mounts and chroots.
    links = [f"/proc/{pid}/cwd" for pid in pids]
    answer = account.run(["stat", "-L", "-c", "%n %d:%i", *links], cwd=Path("/"), timeout_s=10)
    wanted = directory.stat()
    identity = f"{wanted.st_dev}:{wanted.st_ino}"
    found = (line.split(" ") for line in answer.stdout.splitlines())
    return {int(link.split("/")[2]) for link, inode in found if inode == identity}


def stop_process(
    pid: int, directory: Path, name: str, account: Account, *, how: signal.Signals, timeout_s: float
) -> None:
    """Send `how` to `pid` if it still serves `directory`, and wait for its end. Raises StopFailed after `timeout_s`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The handle is taken before the check, so that the signal cannot reach a later owner of the same id.
        if not is_serving(pid, directory, name, account):
            return
        signal.pidfd_send_signal(handle, how)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise StopFailed(f"{name} (process {pid}) did not stop within {timeout_s:.0f} s; see its log.")
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def kill_processes(directory: Path, name: str, account: Account, *, timeout_s: float = 10) -> int:
    """SIGKILL to all that serve `directory` under this name, until none is left; how many. Raises StopFailed."""
    deadline_s = time.monotonic() + timeout_s
    killed: set[int] = set()
    while serving := processes_in(directory, name, account):
        if time.monotonic() > deadline_s:
            raise StopFailed(f"{name} (processes {serving}) survived being killed for {timeout_s:.0f} s.")
        for pid in serving:
            # The parent has the lowest id, and goes first: it would see its children die, and start new ones.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(serving)
        time.sleep(0.02)
    return len(killed)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on loopback `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(avoid: frozenset[int] = frozenset()) -> int:
    """A free loopback port, at random so that checkouts that start together rarely meet."""
    for port in random.SystemRandom().sample(PORT_RANGE, 200):
        if port not in avoid and port_is_free(port):
            return port
    raise OSError("no free loopback port found in 200 tries")


def memory_share_mb(divisor: int, *, least: int, most: int) -> int:
    """One `divisor`-th of the machine's memory in MiB, kept within `least` and `most`."""
    total_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return min(max(total_mb // divisor, least), most)


def tail(path: Path, lines: int = 15) -> str:
    """The last `lines` of a log, for an error message; empty when there is no log."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
