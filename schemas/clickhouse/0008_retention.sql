-- Legal holds by account, user and time, and shorter periods that wait. Each is a history as in
-- 0006: a change is a new row, the newest of a key counts, none is rewritten, `gone` ends it.
-- audit.holds of 0002 follows from this table: accounts whose events come in on hold, because a hold
-- names the account. The console releases those of them that no hold covers.
CREATE TABLE IF NOT EXISTS audit.legal_holds
(
    id String,
    account String COMMENT 'empty: every account',
    user String COMMENT 'empty: everybody; else the actor, the one acted for, or a target',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'of occurred_at, included',
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'of occurred_at, not included',
    reason String,
    set_by String,
    set_at DateTime64(3, 'UTC'),
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (id, changed_at);

-- What was put into audit.holds by hand before this table was here stays on hold.
INSERT INTO audit.legal_holds (id, account, reason, set_by, set_at)
SELECT toString(generateUUIDv4()), account, reason, 'migration', changed_at
FROM audit.holds FINAL
WHERE held AND account NOT IN (SELECT account FROM audit.legal_holds);

CREATE TABLE IF NOT EXISTS audit.retention_changes
(
    account String,
    days UInt16,
    days_before UInt16,
    asked_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (account, changed_at);
