-- How many days an account's events are kept, where it is not the default of 180.
-- Written by `auditbus retention set`; the newest row of an account counts.
CREATE TABLE IF NOT EXISTS audit.retention
(
    account String,
    days UInt16,
    changed_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT days_in_range CHECK days BETWEEN 1 AND 36500
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY account;

-- A server answers the dictionary's query as a user of its own, over an in-process session: USER
-- names it and no password stands here, as DDL is no place for a secret (a user that may log in
-- from the server's own host alone and may read only these two tables needs none).
CREATE DICTIONARY IF NOT EXISTS audit.retention_by_account
(
    account String,
    days UInt16
)
PRIMARY KEY account
SOURCE(CLICKHOUSE(USER @dictionary_user@ QUERY 'SELECT account, days FROM audit.retention FINAL'))
LIFETIME(MIN 30 MAX 60)
LAYOUT(COMPLEX_KEY_HASHED());

SYSTEM RELOAD DICTIONARY audit.retention_by_account;
