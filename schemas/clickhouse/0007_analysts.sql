-- For analysts. audit.activity: audit.log under plain names, each column with a comment that
-- DESCRIBE shows. It stands on audit.log, so whatever that hides is hidden here too. INVOKER: the
-- reader's own row policies hold, on audit.events, beneath both views.
CREATE VIEW IF NOT EXISTS audit.activity
(
    id UUID COMMENT 'the event''s id, a UUIDv7 made by its producer',
    time DateTime64(3, 'UTC') COMMENT 'when it happened, by the producer''s clock',
    received_at DateTime64(3, 'UTC') COMMENT 'when the broker received it, by the broker''s clock',
    account String COMMENT 'id of the account (tenant)',
    account_name String COMMENT 'name of the account, as sent with the event',
    action LowCardinality(String) COMMENT 'what was done: StorageDeleted',
    category LowCardinality(String) COMMENT 'area of the action, from the catalogue: storage',
    operation LowCardinality(String) COMMENT 'kind of the action, from the catalogue: delete',
    description String COMMENT 'in words, as sent',
    outcome Enum8('unknown' = 0, 'success' = 1, 'failure' = 2) COMMENT 'as sent, else failure where there is an error, else success',
    actor_type LowCardinality(String) COMMENT 'user, service or system',
    actor_id String COMMENT 'who did it',
    actor_name String COMMENT 'name of who did it',
    actor_email String COMMENT 'address of who did it',
    credential_type String COMMENT 'what the actor showed: password, api_token, ...; empty if not sent',
    on_behalf_of String COMMENT 'id of the person acted for (impersonation); empty if nobody',
    targets String COMMENT 'type, name and id of each thing acted on, for people',
    target_type String COMMENT 'type of the first thing acted on',
    target_id String COMMENT 'id of the first thing acted on',
    ip IPv6 COMMENT 'IPv4 as ::ffff:a.b.c.d; :: where ip_text is no address',
    ip_text String COMMENT 'address as sent',
    user_agent String COMMENT 'as sent',
    country_code LowCardinality(String) COMMENT 'ISO 3166 code of the address''s country; empty if unknown',
    country LowCardinality(String) COMMENT 'name of that country',
    region String COMMENT 'region of the address',
    city String COMMENT 'city of the address',
    location String COMMENT 'Berlin, Germany',
    latitude Float64 COMMENT 'degrees north, of the city at best; 0 with longitude 0 if unknown',
    longitude Float64 COMMENT 'degrees east',
    device LowCardinality(String) COMMENT 'Chrome 131 on Windows 10/11',
    device_type LowCardinality(String) COMMENT 'desktop, mobile, tool, ...',
    os LowCardinality(String) COMMENT 'operating system',
    browser LowCardinality(String) COMMENT 'browser or client program',
    error_code LowCardinality(String) COMMENT 'code of the error; empty if none',
    error_message String COMMENT 'message of the error; empty if none',
    session_id String COMMENT 'context.session_id, as sent',
    request_id String COMMENT 'context.request_id, as sent',
    producer_service String COMMENT 'the service that published the event',
    producer_instance String COMMENT 'the process of that service',
    producer_epoch String COMMENT 'start of that process; producer_seq counts anew in each',
    producer_seq UInt64 COMMENT 'counts up by one per instance and epoch: a gap is a loss',
    event String COMMENT 'the whole event as JSON; JSONExtractString(event, ''metadata'', ''plan'')'
)
SQL SECURITY INVOKER
AS SELECT
    id, time, received_at, account, account_name, action, category, operation, description, outcome,
    actor_type, actor_id, actor_name, actor_email,
    JSONExtractString(event, 'actor', 'credential', 'type') AS credential_type,
    JSONExtractString(event, 'actor', 'on_behalf_of', 'id') AS on_behalf_of,
    targets,
    JSONExtractString(event, 'targets', 1, 'type') AS target_type,
    JSONExtractString(event, 'targets', 1, 'id') AS target_id,
    ip, ip_text, user_agent, country_code, country, region, city, location,
    JSONExtractFloat(event, 'location', 'latitude') AS latitude,
    JSONExtractFloat(event, 'location', 'longitude') AS longitude,
    device, device_type, os, browser, error_code, error_message,
    JSONExtractString(event, 'context', 'session_id') AS session_id,
    JSONExtractString(event, 'context', 'request_id') AS request_id,
    JSONExtractString(event, 'producer', 'service') AS producer_service,
    JSONExtractString(event, 'producer', 'instance') AS producer_instance,
    replaceAll(JSONExtractRaw(event, 'producer', 'epoch'), '"', '') AS producer_epoch,
    JSONExtractUInt(event, 'producer', 'seq') AS producer_seq,
    event
FROM audit.log;

-- Events a day, account, action and outcome, for charts over a year. Charts over all accounts read
-- the projection: a hundredth of the rows. It has no account, so where a row policy asks for one
-- (server/5001), the engine reads the table itself.
CREATE TABLE IF NOT EXISTS audit.daily_counts
(
    day Date COMMENT 'of time, in UTC',
    account String COMMENT 'id of the account (tenant)',
    category LowCardinality(String) COMMENT 'area of the action',
    action LowCardinality(String) COMMENT 'what was done',
    outcome Enum8('unknown' = 0, 'success' = 1, 'failure' = 2) COMMENT 'as in audit.activity',
    events UInt32 COMMENT 'each event once, as the log stood at counted_at',
    counted_at DateTime('UTC') CODEC(ZSTD(1)) COMMENT 'when this was counted: once an hour',
    PROJECTION by_day_and_action (SELECT day, category, action, outcome, sum(events), sumIf(events, outcome = 'failure') GROUP BY day, category, action, outcome)
)
ENGINE = MergeTree
ORDER BY (account, day, action, outcome)
COMMENT 'Events a day, counted anew every hour from audit.log: each event once, none that has expired';

-- Counted anew, not added up at insert: sums at insert would count a batch again that was cut
-- differently after a crash, and go on counting what has expired. A refresh fills a new table and
-- puts it in this one's place, so a reader sees one whole count. The first runs at once, over what
-- is stored already. One thread: it may take its time, readers may not.
CREATE MATERIALIZED VIEW IF NOT EXISTS audit.daily_counts_refresh
REFRESH EVERY 1 HOUR RANDOMIZE FOR 5 MINUTE
TO audit.daily_counts
AS SELECT
    toDate(time) AS day, account, category, action, outcome, toUInt32(count()) AS events, now('UTC') AS counted_at
FROM audit.log
GROUP BY day, account, category, action, outcome
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;
