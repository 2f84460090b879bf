-- Accounts under legal hold: nothing of theirs expires. A release is a newer row with held = false,
-- so that who held what, and when, stays on record until the table is merged into the newest.
CREATE TABLE IF NOT EXISTS audit.holds
(
    account String,
    held Bool,
    reason String,
    changed_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY account;

CREATE DICTIONARY IF NOT EXISTS audit.hold_by_account
(
    account String,
    held Bool
)
PRIMARY KEY account
SOURCE(CLICKHOUSE(USER @dictionary_user@ QUERY 'SELECT account, held FROM audit.holds FINAL WHERE held'))
LIFETIME(MIN 30 MAX 60)
LAYOUT(COMPLEX_KEY_HASHED());

SYSTEM RELOAD DICTIONARY audit.hold_by_account;
