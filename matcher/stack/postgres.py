"""The private PostgreSQL with PostGIS: made, started, prepared and stopped.

Owns: one data directory. Must not touch another server; clients reach it on loopback TCP with a password only
(socket paths are limited to 107 bytes, and a deep checkout is longer).
"""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from matcher.stack.errors import ForeignServer, NotInstalled, StartFailed, WrongMajorVersion
from matcher.stack.processes import (
    LOOPBACK,
    SERVER_ENVIRONMENT,
    Account,
    is_serving,
    kill_processes,
    memory_share_mb,
    processes_in,
    stop_process,
    tail,
)

ROLE = "matcher"
DATABASE = "matcher"
MINIMUM_MAJOR = 15  # what Debian 12 brings; older ones lack MERGE and lz4 compression of the WAL

_PREPARE = f"""\
SELECT 'CREATE DATABASE {DATABASE}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
\\connect {DATABASE}
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS postgis;
"""  # noqa: S608  constants only


@dataclass(frozen=True, slots=True)
class Installation:
    """One installed PostgreSQL major version that has PostGIS."""

    major: int
    bin: Path


def installations(root: Path = Path("/usr")) -> dict[int, Installation]:
    """The usable installations below `root` by major version, as Debian and Ubuntu lay them out."""
    found: dict[int, Installation] = {}
    for folder in (root / "lib/postgresql").glob("*/bin"):
        major = folder.parent.name
        has_postgis = (root / "share/postgresql" / major / "extension/postgis.control").exists()
        if major.isdigit() and has_postgis and (folder / "initdb").exists():
            found[int(major)] = Installation(int(major), folder)
    return found


class Postgres:
    """The PostgreSQL of one stack, in `data` below `home`."""

    def __init__(self, data: Path, usr: Path = Path("/usr")) -> None:
        """`usr` is where installations are looked for."""
        self.data = data
        self._usr = usr

    @property
    def account(self) -> Account:
        """Who runs the server: PostgreSQL refuses root."""
        return Account.for_server("postgres")

    @property
    def _log(self) -> Path:
        return self.data / "log" / "startup.log"

    def installation(self) -> Installation:
        """The installation that fits the data; the newest for new data. Raises NotInstalled, WrongMajorVersion."""
        found = installations(self._usr)
        if not self.data.exists():
            usable = [major for major in found if major >= MINIMUM_MAJOR]
            if not usable:
                raise NotInstalled(
                    f"PostgreSQL >= {MINIMUM_MAJOR} with PostGIS is not installed; run scripts/bootstrap."
                )
            return found[max(usable)]
        recorded = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if not recorded.isdigit() or int(recorded) not in found:
            present = ", ".join(map(str, sorted(found))) or "none"
            raise WrongMajorVersion(
                f"{self.data} was made by PostgreSQL {recorded}, which is not installed with PostGIS "
                f"(installed: {present}). Install postgresql-{recorded} and postgresql-{recorded}-postgis-3, "
                "or give the data up with `matcher stack reset`."
            )
        return found[int(recorded)]

    def pid(self) -> int | None:
        """The postmaster that serves the data now, None when there is none."""
        pid = self._recorded_pid()
        return pid if pid and is_serving(pid, self.data, "postgres", self.account) else None

    def _recorded_pid(self) -> int | None:
        try:
            first = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
            return int(first)
        except (OSError, IndexError, ValueError):
            return None

    def start(self, port: int, password: str) -> None:
        """Make the data if there is none, and start the server on `port`. Raises StartFailed and what it needs."""
        installation = self.installation()
        if not self.data.exists():
            self._initialise(installation, password)
        self._remove_stale_pid_file()
        self.account.write_private(self.data / "matcher.conf", self._settings(port))
        # Relative paths on purpose: pg_ctl quotes for a shell, and a checkout's path may hold any character.
        result = self.account.run(
            [str(installation.bin / "pg_ctl"), "start", "-D", self.data.name]
            + ["-l", f"{self.data.name}/log/{self._log.name}", "-w", "-t", "90", "-s"],
            cwd=self.data.parent,
        )
        if result.returncode != 0:
            raise StartFailed(f"PostgreSQL did not start: {result.stderr.strip()}\n{tail(self._log)}")

    def stop(self, timeout_s: float = 60) -> None:
        """Stop the server if it runs, rolling back what is open. Raises StopFailed."""
        if pid := self.pid():
            # SIGINT is PostgreSQL's fast shutdown; the default one waits for every client to leave.
            stop_process(pid, self.data, "postgres", self.account, how=signal.SIGINT, timeout_s=timeout_s)

    def kill(self) -> int:
        """Kill the server with all its processes; how many. The next start recovers. Raises StopFailed."""
        return kill_processes(self.data, "postgres", self.account)

    def prepare(self, port: int, password: str) -> None:
        """Create the database and the extension where they are missing. Raises StartFailed."""
        result = subprocess.run(
            [str(self.installation().bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
            + ["-h", LOOPBACK, "-p", str(port), "-U", ROLE, "-d", "postgres"],
            input=_PREPARE,
            # The password goes by environment, which others cannot read, and not by argv, which they can.
            env=SERVER_ENVIRONMENT | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if result.returncode != 0:
            raise StartFailed(f"The database cannot be prepared: {result.stderr.strip()}")

    def _initialise(self, installation: Installation, password: str) -> None:
        home, account = self.data.parent, self.account
        fresh, secret = home / "postgres.new", home / "initdb.password"
        shutil.rmtree(fresh, ignore_errors=True)
        account.make_directory(fresh)
        account.write_private(secret, password + "\n")
        try:
            result = account.run(
                [str(installation.bin / "initdb"), "-D", fresh.name, "-U", ROLE, f"--pwfile={secret.name}"]
                + ["--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=reject", "--auth-host=scram-sha-256"],
                cwd=home,
            )
        finally:
            secret.unlink(missing_ok=True)
        if result.returncode != 0:
            raise StartFailed(f"PostgreSQL's data cannot be made: {result.stderr.strip()}")
        account.make_directory(fresh / "log")
        account.write_private(fresh / "pg_hba.conf", f"host all all {LOOPBACK}/32 scram-sha-256\n")
        main = (fresh / "postgresql.conf").read_text(encoding="utf-8")
        account.write_private(fresh / "postgresql.conf", f"{main}\ninclude 'matcher.conf'\n")
        # Under its final name only when complete: an interrupted start begins anew instead of finding half of it.
        fresh.rename(self.data)

    def _remove_stale_pid_file(self) -> None:
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        # Backends outlive a killed postmaster for a moment; starting beside them would corrupt the data.
        deadline = time.monotonic() + 10
        while serving := processes_in(self.data, "postgres", self.account):
            if time.monotonic() > deadline:
                raise ForeignServer(
                    f"PostgreSQL processes {serving} of an earlier start still serve {self.data}; end them first."
                )
            time.sleep(0.1)
        pid_file.unlink(missing_ok=True)

    def _settings(self, port: int) -> str:
        shared_mb = memory_share_mb(8, least=64, most=512)
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "cluster_name": re.sub(r"[^a-z0-9]", "_", f"matcher {self.data.parent.name}")[:60],
            "max_connections": 200,
            "shared_buffers": f"{shared_mb}MB",
            "effective_cache_size": f"{shared_mb * 3}MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "wal_compression": "lz4",
            "random_page_cost": 1.1,  # solid-state disks
            "jit": "off",  # compiling costs more than these short statements take
            "fsync": "on",
            "synchronous_commit": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "on",
            "log_directory": "log",
            "log_filename": "postgresql-%a.log",  # a week of files, each begun anew
            "log_truncate_on_rotation": "on",
            "log_rotation_age": "1d",
            "log_rotation_size": 0,
            "log_min_duration_statement": "1s",
        }
        if os.geteuid() != 0:
            # systemd removes a person's POSIX shared memory at logout (RemoveIPC), under the server's feet.
            settings["dynamic_shared_memory_type"] = "mmap"
        return "".join(f"{name} = '{value}'\n" for name, value in settings.items())
