"""Every metric, declared once. Labels are bounded: no account, action or message in a label."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "BATCH_ROWS",
    "CIRCUIT_STATE",
    "CONSUMED_EVENTS",
    "CONSUMER_LAG",
    "DEAD_LETTERS",
    "END_TO_END_LATENCY",
    "ENRICHMENT_MISSES",
    "GEOIP_BUILD_TIMESTAMP",
    "GEOIP_RELOAD_FAILURES",
    "INFLIGHT_REQUESTS",
    "LAST_SUCCESS",
    "OFFSET_COMMITS",
    "OLDEST_UNACKNOWLEDGED",
    "REBALANCES",
    "SCHEDULED_EXPORTS",
    "SCHEDULED_EXPORT_ALARM",
    "SCHEDULED_EXPORT_UNTIL",
    "SETTINGS_REFUSED",
    "SINK_ALARM",
    "SINK_REQUEST",
    "SINK_RETRIES",
    "SINK_ROWS",
    "UNCOMMITTED_OFFSET_GAP",
]

CONSUMED_EVENTS = Counter(
    "audit_consumed_events_total", "Records read from Kafka.", ["topic", "partition"]
)
SINK_ROWS = Counter(
    "audit_sink_rows_total",
    "Events by what became of them: stored, delivered, filtered, dead_letter.",
    ["sink", "outcome"],
)
SINK_RETRIES = Counter(
    "audit_sink_retries_total", "Requests repeated, by the store's or destination's code.", ["code"]
)
DEAD_LETTERS = Counter(
    "audit_dead_letters_total", "Records sent to a dead letter topic.", ["stage", "reason"]
)
OFFSET_COMMITS = Counter("audit_offset_commits_total", "Offset commits.", ["status"])
REBALANCES = Counter("audit_rebalances_total", "Partition assignments and revocations.", ["type"])
ENRICHMENT_MISSES = Counter(
    "audit_enrichment_misses_total", "Addresses or devices that were not recognised.", ["kind"]
)
CONSUMER_LAG = Gauge("audit_consumer_lag", "Records not yet read.", ["group", "topic", "partition"])
UNCOMMITTED_OFFSET_GAP = Gauge(
    "audit_uncommitted_offset_gap", "Records read and not yet committed.", ["group"]
)
OLDEST_UNACKNOWLEDGED = Gauge(
    "audit_oldest_unacknowledged_seconds", "Age of the oldest undelivered event.", ["sink"]
)
INFLIGHT_REQUESTS = Gauge("audit_inflight_requests", "Requests without an answer yet.", ["sink"])
CIRCUIT_STATE = Gauge(
    "audit_circuit_state", "0 closed (delivering), 1 half open (trying), 2 open.", ["sink"]
)
SINK_ALARM = Gauge(
    "audit_sink_alarm", "1 while a destination waits for a person to act.", ["sink", "code"]
)
SETTINGS_REFUSED = Gauge(
    "audit_settings_refused", "1 while changed settings are wrong and the old ones stay in use."
)
SCHEDULED_EXPORTS = Counter(
    "audit_scheduled_exports_total",
    "Runs of scheduled exports by what became of them: done, truncated, failed.",
    ["export", "outcome"],
)
SCHEDULED_EXPORT_ALARM = Gauge(
    "audit_scheduled_export_alarm", "1 while a scheduled export fails.", ["export"]
)
SCHEDULED_EXPORT_UNTIL = Gauge(
    "audit_scheduled_export_until_timestamp_seconds",
    "End of the last interval that was exported.",
    ["export"],
)
LAST_SUCCESS = Gauge(
    "audit_last_success_timestamp_seconds", "When the last delivery succeeded.", ["sink"]
)
GEOIP_BUILD_TIMESTAMP = Gauge(
    "audit_geoip_database_build_timestamp_seconds", "Build time of the database in use.", ["kind"]
)
GEOIP_RELOAD_FAILURES = Counter(
    "audit_geoip_reload_failures_total", "Replaced databases that were refused.", ["kind"]
)
END_TO_END_LATENCY = Histogram(
    "audit_end_to_end_latency_seconds",
    "From the event's occurred_at to its acknowledgement, the oldest of each batch; for "
    "clickhouse, which never looks into an event, and what Splunk acknowledges later, from the "
    "record's timestamp.",
    ["sink"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)
SINK_REQUEST = Histogram(
    "audit_sink_request_seconds", "Duration of a request to a store or destination.", ["sink"]
)
BATCH_ROWS = Histogram(
    "audit_batch_rows",
    "Events in one insert or delivery.",
    ["sink"],
    buckets=(1, 10, 100, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000),
)
