-- What an analyst may do on a ClickHouse server: read the rows of the accounts granted, within
-- limits. Applied only where the migrating user may create roles; the embedded engine has none.
-- To let somebody in: docs/sql-clients.md. IF NOT EXISTS throughout: what an operator has altered
-- since (a quota, a limit) is kept.

-- Who may see which account; '*' is every account. Only administrators write here.
CREATE TABLE IF NOT EXISTS audit.analyst_accounts
(
    user String COMMENT 'name of the ClickHouse user',
    account String COMMENT 'id of an account, or * for all',
    granted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(granted_at)
ORDER BY (user, account);

CREATE ROLE IF NOT EXISTS auditbus_analyst;

-- Views run with their reader's rights, so what they read must be granted too; the policies below
-- stand on the tables, so no view and no direct read goes round them.
GRANT SELECT ON audit.activity TO auditbus_analyst;
GRANT SELECT ON audit.log TO auditbus_analyst;
GRANT SELECT ON audit.events TO auditbus_analyst;
GRANT SELECT ON audit.daily_counts TO auditbus_analyst;
GRANT SELECT ON audit.analyst_accounts TO auditbus_analyst;

-- One row policy lets everybody read, so that the sink, the console and the dictionaries go on
-- whatever users_without_row_policies_can_read_rows says. The other is restrictive: no further
-- policy and no further role widens what an analyst sees. account leads the sorting key, so the
-- policy is answered by the primary index, and it is the same in every copy of an event: filtering
-- before FINAL and after it give the same rows.
CREATE ROW POLICY IF NOT EXISTS auditbus_everyone ON audit.events USING 1 TO ALL;
CREATE ROW POLICY IF NOT EXISTS auditbus_everyone ON audit.daily_counts USING 1 TO ALL;
CREATE ROW POLICY IF NOT EXISTS auditbus_everyone ON audit.analyst_accounts USING 1 TO ALL;
CREATE ROW POLICY IF NOT EXISTS auditbus_analyst ON audit.analyst_accounts USING user = currentUser() AS RESTRICTIVE TO auditbus_analyst;
CREATE ROW POLICY IF NOT EXISTS auditbus_analyst ON audit.events
USING account IN (SELECT account FROM audit.analyst_accounts WHERE user = currentUser()) OR '*' IN (SELECT account FROM audit.analyst_accounts WHERE user = currentUser())
AS RESTRICTIVE TO auditbus_analyst;
CREATE ROW POLICY IF NOT EXISTS auditbus_analyst ON audit.daily_counts
USING account IN (SELECT account FROM audit.analyst_accounts WHERE user = currentUser()) OR '*' IN (SELECT account FROM audit.analyst_accounts WHERE user = currentUser())
AS RESTRICTIVE TO auditbus_analyst;

-- readonly = 2: no writing, but settings may be sent, as Grafana and DBeaver do; so the limits
-- carry a MAX. Bytes and seconds.
CREATE SETTINGS PROFILE IF NOT EXISTS auditbus_analyst SETTINGS
    readonly = 2 CONST,
    max_execution_time = 60 MIN 1 MAX 300,
    timeout_overflow_mode = 'throw' CONST,
    max_memory_usage = 4000000000 MIN 1 MAX 8000000000,
    max_bytes_before_external_group_by = 2000000000,
    max_threads = 4 MIN 1 MAX 8,
    max_concurrent_queries_for_user = 8 CONST,
    max_result_rows = 1100000 MIN 1 MAX 10000000
TO auditbus_analyst;

CREATE QUOTA IF NOT EXISTS auditbus_analyst KEYED BY user_name
FOR INTERVAL 1 hour MAX queries = 5000, execution_time = 1800,
FOR INTERVAL 1 day MAX queries = 50000, execution_time = 14400
TO auditbus_analyst;
