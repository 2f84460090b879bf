-- One row an event. Readers use audit.log, which shows each event once; this table may hold copies.
--
-- PARTITION BY the month the event happened in, which a repeat of the event shares, so that FINAL
-- never has to look across partitions. Clamped: a wrong clock must not make partitions without end.
-- version: the first copy received wins, so publishing an id again cannot rewrite history.
-- TTL stands on received_at, the broker's clock: a producer's wrong clock must not delete evidence.
-- It stays in DateTime64: 100 years through DateTime wrap past 2106, and the row would go at once.
-- min_bytes_for_wide_part: what an insert writes is one file, not two for each of 38 columns.
CREATE TABLE IF NOT EXISTS audit.events
(
    id UUID,
    time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    account String CODEC(ZSTD(1)),
    account_name String CODEC(ZSTD(1)),
    action LowCardinality(String),
    category LowCardinality(String),
    operation LowCardinality(String),
    description String CODEC(ZSTD(1)),
    outcome Enum8('unknown' = 0, 'success' = 1, 'failure' = 2) COMMENT 'as sent, else failure where there is an error, else success',
    actor_type LowCardinality(String),
    actor_id String CODEC(ZSTD(1)),
    actor_name String CODEC(ZSTD(1)),
    actor_email String CODEC(ZSTD(1)),
    targets String CODEC(ZSTD(1)) COMMENT 'type, name and id of each target, for people and free text',
    ip IPv6 CODEC(ZSTD(1)) COMMENT 'IPv4 as ::ffff:a.b.c.d; :: where ip_text is no address',
    ip_text String CODEC(ZSTD(1)) COMMENT 'as sent',
    user_agent String CODEC(ZSTD(1)),
    country_code LowCardinality(String),
    country LowCardinality(String),
    region String CODEC(ZSTD(1)),
    city String CODEC(ZSTD(1)),
    location String CODEC(ZSTD(1)) COMMENT 'Berlin, Germany',
    device LowCardinality(String) COMMENT 'Chrome 131 on Windows 10/11',
    device_type LowCardinality(String),
    os LowCardinality(String),
    browser LowCardinality(String),
    error_code LowCardinality(String),
    error_message String CODEC(ZSTD(1)),
    origin_partition UInt32 CODEC(ZSTD(1)) COMMENT 'of the raw topic; with origin_offset, where a live tail resumes',
    origin_offset UInt64 CODEC(Delta(8), ZSTD(1)),
    event String CODEC(ZSTD(3)) COMMENT 'the enriched event, byte for byte',
    retention_days UInt16 DEFAULT 180,
    on_hold Bool DEFAULT false,
    version UInt64 CODEC(ZSTD(1)) COMMENT 'falls as received_at rises',
    search_text String ALIAS concatWithSeparator(' ', action, description, account_name, actor_id, actor_name, actor_email, targets, ip_text, location, device, error_code, error_message),
    INDEX received_at_minmax received_at TYPE minmax GRANULARITY 1,
    INDEX id_bloom id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX search_words concatWithSeparator(' ', action, description, account_name, actor_id, actor_name, actor_email, targets, ip_text, location, device, error_code, error_message) TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lowerUTF8(concatWithSeparator(' ', action, description, account_name, actor_id, actor_name, actor_email, targets, ip_text, location, device, error_code, error_message)))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(least(greatest(time, toDateTime64('2000-01-01', 3, 'UTC')), toDateTime64('2100-01-01', 3, 'UTC')))
ORDER BY (account, time, id)
TTL received_at + toIntervalDay(retention_days) DELETE WHERE NOT on_hold
SETTINGS non_replicated_deduplication_window = 1000, min_bytes_for_wide_part = 134217728;
