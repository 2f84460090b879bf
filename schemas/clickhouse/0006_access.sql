-- Who may see what. Only the console writes these tables. Each is a history: a change is a new row,
-- the newest of a key counts, and none is rewritten. `gone`: deleted, revoked, ended.

CREATE TABLE IF NOT EXISTS audit.organizations
(
    name String,
    accounts Array(String),
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (name, changed_at);

-- What a person may see who signs in by OpenID Connect; `subject` is the claim that settings name.
CREATE TABLE IF NOT EXISTS audit.grants
(
    subject String,
    role String,
    accounts Array(String),
    organizations Array(String),
    actor_id String,
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (subject, changed_at);

-- API tokens: of the secret only its SHA-256, which is enough for 256 random bits; `id` begins it.
CREATE TABLE IF NOT EXISTS audit.api_tokens
(
    id String,
    secret_hash String,
    name String,
    role String,
    accounts Array(String),
    organizations Array(String),
    actor_id String,
    expires_at DateTime64(3, 'UTC'),
    created_at DateTime64(3, 'UTC'),
    created_by String,
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (id, changed_at);

-- When a token was last used, to the hour.
CREATE TABLE IF NOT EXISTS audit.api_token_uses
(
    id String,
    used_at DateTime('UTC')
)
ENGINE = ReplacingMergeTree(used_at)
ORDER BY id;

-- Public keys of the backends that sign viewer tokens, and the most that such a token may show.
CREATE TABLE IF NOT EXISTS audit.viewer_keys
(
    id String,
    issuer String,
    public_key String,
    role String,
    any_account Bool,
    accounts Array(String),
    organizations Array(String),
    created_at DateTime64(3, 'UTC'),
    created_by String,
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (id, changed_at);

-- Sign-ins of people; the cookie's SHA-256. Who signed in and out, and when, is in the log itself.
CREATE TABLE IF NOT EXISTS audit.sessions
(
    cookie_hash String,
    way String,
    subject String,
    name String,
    role String,
    accounts Array(String),
    organizations Array(String),
    actor_id String,
    expires_at DateTime64(3, 'UTC'),
    gone Bool,
    changed_by String,
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (cookie_hash, changed_at)
TTL expires_at + toIntervalDay(1);
