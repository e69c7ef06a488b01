"""Prometheus metrics: every name in one place, so that a dashboard's author reads one file."""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MATCH_S = (5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2)

REQUESTS = Counter("matcher_http_requests_total", "HTTP requests", ("method", "path", "status"))
REQUEST_SECONDS = Histogram(
    "matcher_http_request_seconds", "Time to answer", ("method", "path"), buckets=_LATENCY_S
)

REQUESTS_WAITING = Gauge(
    "matcher_requests_waiting", "HTTP requests in line for admission", multiprocess_mode="livesum"
)
REQUESTS_SHED = Counter("matcher_requests_shed_total", "HTTP requests answered 503 unasked", ("reason",))
ADMISSION_SECONDS = Histogram(
    "matcher_admission_seconds", "Time in line, of HTTP requests that had to wait", buckets=_LATENCY_S
)
SECURITY_EVENTS = Counter("matcher_security_events_total", "Rows of the audit trail", ("kind",))
SECURITY_NOTES_DROPPED = Counter(
    "matcher_security_notes_dropped_total", "Refusals that were too many to be noted"
)
RATE_LIMITED = Counter(
    "matcher_rate_limited_total", "Requests refused by a rate limit", ("limit", "counted_by")
)

ORDERS = Counter("matcher_orders_total", "Orders by what happened", ("event",))
DISPATCHES = Counter("matcher_dispatches_total", "Shops asked", ("wave",))
QUOTES = Counter("matcher_quotes_total", "Quotes by what happened", ("event",))
MATCH_SECONDS = Histogram(
    "matcher_match_seconds", "Time to find the nearest eligible shops", buckets=_MATCH_S
)
BATCH_ORDERS = Histogram(
    "matcher_batch_orders", "Orders written by one statement", buckets=(1, 2, 4, 8, 16, 32, 64)
)
BATCH_SECONDS = Histogram("matcher_batch_seconds", "Time of one batch's transaction", buckets=_LATENCY_S)
SUBMISSIONS_WAITING = Gauge(
    "matcher_submissions_waiting", "Orders waiting for a batch", multiprocess_mode="livesum"
)

SOCKETS = Gauge("matcher_sockets", "Open sockets", ("recipient",), multiprocess_mode="livesum")
CONNECTS_SHED = Counter("matcher_connects_shed_total", "Sockets answered 503 because too many came at once")
SOCKETS_CLOSED = Counter("matcher_sockets_closed_total", "Sockets closed by us", ("code",))
FRAMES = Counter("matcher_frames_total", "Event frames handed to sockets")
SNAPSHOTS = Counter("matcher_snapshots_total", "How connects were answered", ("mode",))
LOG_LAG_SECONDS = Gauge(
    "matcher_log_lag_seconds", "Age of the newest event log entry when read", multiprocess_mode="livemax"
)
LOG_ENTRIES = Counter("matcher_log_entries_total", "Event log entries", ("direction",))
LOG_RESETS = Counter(
    "matcher_log_resets_total", "Times that the event log lost entries and sockets were resnapshot"
)
PUBLISH_WAITING = Gauge(
    "matcher_publish_waiting", "Committed transactions waiting for the event log", multiprocess_mode="livesum"
)
OUTBOX_SWEPT = Counter("matcher_outbox_swept_total", "Outbox rows published by the sweeper")

PUSHES = Counter(
    "matcher_pushes_total", "Attempts to reach people, and what was suppressed", ("channel", "outcome")
)
PUSH_SECONDS = Histogram("matcher_push_seconds", "Time of one attempt", ("channel",), buckets=_LATENCY_S)

INDEX_SITES = Gauge("matcher_index_sites", "Shops in the geo index", multiprocess_mode="livemax")
INDEX_CHANGES = Counter("matcher_index_changes_total", "Shops changed in the geo index")
POOL_CONNECTIONS = Gauge(
    "matcher_pool_connections", "PostgreSQL connections", ("state",), multiprocess_mode="livesum"
)
JOBS = Counter("matcher_jobs_total", "Background jobs", ("job", "outcome"))
JOB_SECONDS = Histogram("matcher_job_seconds", "Time of background jobs", ("job",))
EXPIRY_LATENESS_SECONDS = Histogram(
    "matcher_expiry_lateness_seconds",
    "From expiresAt to the announcement",
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30),
)
