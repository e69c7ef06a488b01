"""Every number that an operator may change, in one frozen object; names carry their units.

Owns: defaults, reading the environment, refusing what cannot be safe. Must not open connections.
`matcher config` prints this table.
"""

import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

import click

from matcher.addresses import TrustedProxies
from matcher.errors import ConfigurationError

DEVELOPMENT_SECRET = "development-only-secret-never-use-it-elsewhere"  # noqa: S105  refused outside development
MIN_SECRET_CHARS = 32
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _setting(default: Any, doc: str, *, env: str | None = None, secret: bool = False) -> Any:
    return field(default=default, metadata={"doc": doc, "env": env, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's configuration. Read it with `Settings.from_env()`."""

    env: Literal["development", "production"] = _setting(
        "development", "production refuses weak secrets and MATCHER_LIMITS=off"
    )
    database_url: str = _setting(
        "", "PostgreSQL with PostGIS; empty: the embedded stack", env="DATABASE_URL", secret=True
    )
    redis_url: str = _setting("", "Redis >= 7; empty: the embedded stack", env="REDIS_URL", secret=True)
    redis_prefix: str = _setting("matcher:", "put before every Redis key")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on")
    workers: int = _setting(1, "API processes")
    pool_size: int = _setting(12, "PostgreSQL connections of one process")
    statement_timeout_s: float = _setting(15.0, "longest statement outside imports")
    request_timeout_s: float = _setting(30.0, "longest wait for a place in a queue")
    drain_s: float = _setting(15.0, "time that requests have to finish at shutdown")
    limits: bool = _setting(True, "off lifts rate and per-account limits (load tests); refused in production")
    limit_registers_per_min: int = _setting(60, "accounts registered from one client address")
    limit_logins_per_min: int = _setting(120, "sign-ins and refreshes from one client address")
    limit_orders_per_min: int = _setting(60, "orders submitted by one account")
    limit_quotes_per_min: int = _setting(300, "quotes given and edited by one account")
    limit_uploads_per_min: int = _setting(60, "files uploaded by one account")
    limit_requests_per_min: int = _setting(1_200, "all other requests of one account")
    limit_address_times: int = _setting(
        20, "an address may ask so many times what an account may: people share addresses"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), "addresses or networks whose X-Forwarded-For is believed, comma separated"
    )
    requests_at_once: int = _setting(128, "HTTP requests in progress in one process; others wait in line")
    requests_waiting_max: int = _setting(512, "HTTP requests in line; beyond, 503")
    admission_patience_s: float = _setting(1.0, "longest wait in line; a line not empty for so long stands")
    admission_target_s: float = _setting(0.1, "longest wait of who joins a line that stands; then 503")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "least level that is logged")
    worker_metrics_port: int = _setting(0, "port of the worker's own /metrics; 0: none")
    metrics_token: str = _setting(
        "", "bearer token for /metrics from outside loopback; empty: loopback only", secret=True
    )
    allowed_origins: tuple[str, ...] = _setting(
        (), "browser origins allowed to open sockets, comma separated"
    )

    jwt_secret: str = _setting(
        DEVELOPMENT_SECRET, "signs access tokens (HS256), at least 32 characters", secret=True
    )
    access_token_s: int = _setting(900, "life of an access token")
    refresh_token_s: int = _setting(30 * 86_400, "life of a refresh token")
    refresh_grace_s: float = _setting(
        30.0, "an immediate predecessor still refreshes for so long (a lost reply is no theft)"
    )
    audit_keep_s: int = _setting(180 * 86_400, "security events are kept for")
    login_failures_max: int = _setting(10, "failed logins of one account or address in a window before 429")
    login_window_s: int = _setting(900, "window of login failures")
    argon2_threads: int = _setting(2, "password hashes computed at once")
    issuer_url: str = _setting("", "outside token issuer accepted beside our own; empty: none")
    issuer_audience: str = _setting("", "audience that an outside token must name")
    issuer_algorithm: str = _setting("RS256", "the only algorithm accepted of the outside issuer")
    issuer_jwks_file: str = _setting("", "file with the outside issuer's JWKS")
    issuer_secret: str = _setting("", "the outside issuer's shared secret, for HS algorithms", secret=True)

    currency: str = _setting("USD", "currency of new orders (ISO 4217)")
    order_open_s: int = _setting(7_200, "an order expires so long after submission")
    order_open_max_s: int = _setting(86_400, "longest life of an order, extensions included")
    order_open_per_customer: int = _setting(20, "open orders of one customer")
    draft_keep_s: int = _setting(7 * 86_400, "drafts that were not submitted are cancelled after")
    wave_shops: int = _setting(10, "shops asked in one wave: the nearest eligible ones")
    wave_spare_shops: int = _setting(6, "further candidates handed to the insert, for shops refused there")
    waves: int = _setting(3, "waves inside service areas, before shops that ship beyond theirs")
    wave_interval_s: int = _setting(600, "time to the next wave")
    wave_quotes_enough: int = _setting(2, "live quotes that stop widening")
    batch_orders_max: int = _setting(64, "orders written by one statement")
    batch_writers: int = _setting(2, "batches in flight in one process")
    submission_queue_max: int = _setting(2_000, "orders waiting for a batch before 503")
    idempotency_wait_s: float = _setting(5.0, "a concurrent duplicate waits so long for the first")
    idempotency_keep_s: int = _setting(86_400, "idempotency keys are kept for")
    shop_poll_s: float = _setting(0.25, "how often a process asks PostgreSQL for changed shops and accounts")
    outbox_grace_s: float = _setting(2.0, "age at which the sweeper publishes what a process left behind")
    publish_queue_max: int = _setting(
        10_000, "committed changes waiting for the event log; beyond, the sweeper publishes"
    )

    log_partitions: int = _setting(1, "event log streams")
    log_entries_max: int = _setting(100_000, "entries kept in each stream")
    log_buffer_bytes: int = _setting(64 * 2**20, "events a process keeps in memory for resuming sockets")
    connects_per_s: float = _setting(
        1_000.0, "sockets accepted by one process, sustained; others wait in line"
    )
    connect_wait_s: float = _setting(8.0, "longest wait of a socket to be accepted; beyond, 503")
    socket_connect_s: float = _setting(10.0, "time to the first frame of a socket")
    heartbeat_s: float = _setting(25.0, "heartbeat and ping interval")
    sockets_per_account: int = _setting(10, "open sockets of one account")
    socket_buffer_bytes: int = _setting(1 * 2**20, "frames waiting for a slow reader before it is cut (4001)")
    socket_requests_per_s: float = _setting(20.0, "requests of one socket, sustained (burst twice that)")
    snapshot_part_items: int = _setting(200, "entities in one frame of a snapshot")
    snapshots_at_once: int = _setting(8, "snapshots read at the same time in one process")

    push_after_s: float = _setting(5.0, "time that sockets have to acknowledge an event before it is pushed")
    push_keep_s: int = _setting(86_400, "life of a push that no order's end bounds")
    push_tries_max: int = _setting(8, "attempts before a push is a dead letter")
    push_retry_s: float = _setting(2.0, "first pause after a failed push; it doubles, with jitter")
    push_timeout_s: float = _setting(10.0, "longest attempt of one push")
    push_concurrency: int = _setting(20, "pushes of one worker under way at once")
    push_history_s: int = _setting(7 * 86_400, "pushes that are over, dead letters too, are kept for")
    push_allow_private: bool = _setting(
        False, "lets web push endpoints be http and private (tests); refused in production"
    )
    devices_per_account: int = _setting(20, "devices of one account; another replaces the one unused longest")
    fcm_credentials_file: str = _setting("", "service account of Firebase (JSON); empty: no pushes to phones")
    fcm_url: str = _setting("https://fcm.googleapis.com", "where Firebase Cloud Messaging listens")
    vapid_key_file: str = _setting("", "private key of web push (PEM, P-256); empty: no pushes to browsers")
    vapid_subject: str = _setting("", "whom push services may write to: a mailto: or https: address")
    smtp_host: str = _setting("", "mail server; empty: no mail")
    smtp_port: int = _setting(587, "port of the mail server")
    smtp_encryption: Literal["starttls", "tls", "off"] = _setting(
        "starttls", "of the way to the mail server; off only without a password or on loopback"
    )
    smtp_user: str = _setting("", "name to sign in to the mail server; empty: without")
    smtp_password: str = _setting("", "password for the mail server", secret=True)
    mail_from: str = _setting("", "sender of mail: an address, or Name <address>")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Settings from `MATCHER_*`, `DATABASE_URL` and `REDIS_URL`; ConfigurationError names a bad variable."""
        environ = os.environ if environ is None else environ
        known = {env_name(f.name): f.name for f in fields(cls)}
        for name in environ:
            if name.startswith("MATCHER_") and name not in known and name not in OTHER_VARIABLES:
                raise ConfigurationError(f"{name} is not a setting; `matcher config` lists them.")
        values = {
            attribute: _parse(cls, attribute, environ[name], name)
            for name, attribute in known.items()
            if name in environ
        }
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        if self.env == "production":
            if len(self.jwt_secret) < MIN_SECRET_CHARS or self.jwt_secret == DEVELOPMENT_SECRET:
                raise ConfigurationError(
                    "MATCHER_JWT_SECRET must hold at least 32 random characters in production, "
                    f"for example {secrets.token_urlsafe(8)}… made by `openssl rand -base64 48`."
                )
            if not self.limits:
                raise ConfigurationError("MATCHER_LIMITS=off is for load tests and refused in production.")
        elif self.jwt_secret == DEVELOPMENT_SECRET and self.host not in LOOPBACK:
            raise ConfigurationError(
                "Set MATCHER_JWT_SECRET before listening on an address other than loopback."
            )
        if self.issuer_url and not (self.issuer_audience and (self.issuer_jwks_file or self.issuer_secret)):
            raise ConfigurationError(
                "MATCHER_ISSUER_URL needs MATCHER_ISSUER_AUDIENCE, and MATCHER_ISSUER_JWKS_FILE or"
                " MATCHER_ISSUER_SECRET."
            )
        self._check_channels()
        try:
            TrustedProxies(self.trusted_proxies)
        except ValueError as error:
            raise ConfigurationError(
                f"MATCHER_TRUSTED_PROXIES must list addresses or networks: {error}."
            ) from error
        for name in (
            "pool_size",
            "workers",
            "wave_shops",
            "batch_orders_max",
            "batch_writers",
            "log_partitions",
            "push_tries_max",
            "push_concurrency",
            "devices_per_account",
            "limit_address_times",
            "requests_at_once",
            "connects_per_s",
            *(f.name for f in fields(self) if f.name.startswith("limit_") and f.name.endswith("_per_min")),
        ):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{env_name(name)} must be at least 1.")
        if self.pool_size < self.batch_writers + 2:
            raise ConfigurationError("MATCHER_POOL_SIZE must exceed MATCHER_BATCH_WRITERS by 2 or more.")

    def _check_channels(self) -> None:
        if self.push_allow_private and self.env == "production":
            raise ConfigurationError("MATCHER_PUSH_ALLOW_PRIVATE=on is for tests and refused in production.")
        if self.vapid_key_file and not self.vapid_subject.startswith(("mailto:", "https://")):
            raise ConfigurationError(
                "MATCHER_VAPID_KEY_FILE needs MATCHER_VAPID_SUBJECT, a mailto: or https: address."
            )
        if self.smtp_host and "@" not in self.mail_from:
            raise ConfigurationError("MATCHER_SMTP_HOST needs MATCHER_MAIL_FROM, the sender's address.")
        if self.smtp_encryption == "off" and self.smtp_password and self.smtp_host not in LOOPBACK:
            raise ConfigurationError(
                "MATCHER_SMTP_PASSWORD would travel unencrypted; set MATCHER_SMTP_ENCRYPTION."
            )


# Read where they are used (a secret at a prompt, a switch of the test suite), listed here so that a
# misspelt variable is still found.
OTHER_VARIABLES = frozenset({"MATCHER_ADMIN_PASSWORD", "MATCHER_TEST_FULL"})


def env_name(attribute: str) -> str:
    """The environment variable of a setting."""
    for f in fields(Settings):
        if f.name == attribute and f.metadata["env"]:
            return str(f.metadata["env"])
    return f"MATCHER_{attribute.upper()}"


_BOOLEANS = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}


def _parse(cls: type[Settings], attribute: str, text: str, name: str) -> Any:
    default = cls.__dataclass_fields__[attribute].default
    assert default is not MISSING
    try:
        if isinstance(default, bool):
            return _BOOLEANS[text.lower()]
        if isinstance(default, int | float):
            number = type(default)(text)
            if not 0 <= number < math.inf:
                raise ConfigurationError(f"{name} must be a finite number from 0 on, not {text!r}.")
            return number
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
    except (ValueError, KeyError) as error:
        kind = "on or off" if isinstance(default, bool) else f"a number such as {default}"
        raise ConfigurationError(f"{name} must be {kind}, not {text!r}.") from error
    allowed = getattr(cls.__annotations__[attribute], "__args__", None)
    if allowed and text not in allowed:
        raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}.")
    return text


@cache
def repository_root() -> Path:
    """The checkout (or site-packages folder) that holds the `matcher` package."""
    return Path(__file__).resolve().parent.parent


@click.command("config")
def config_command() -> None:
    """List every setting: variable, value in force, its default if that is another, what it is."""
    settings = Settings.from_env()
    for f in fields(Settings):
        value = getattr(settings, f.name)
        shown = "(set)" if f.metadata["secret"] and value else _shown(value)
        changed = not f.metadata["secret"] and value != f.default
        # A line of its own, never cut: names are copied from here.
        click.echo(f"{env_name(f.name)}={shown}" + (f"  (default: {_shown(f.default)})" if changed else ""))
        click.echo(click.wrap_text(str(f.metadata["doc"]), 80, "    ", "    "))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) if isinstance(value, tuple) else str(value)
