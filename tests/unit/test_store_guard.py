"""What the embedded store's guard refuses, however it is spelled, and what it must let pass."""

import pytest

from auditbus.deploy.local.store.errors import ErrorCode, Refused
from auditbus.deploy.local.store.guard import StatementGuard
from auditbus.deploy.local.store.statements import parse_statement

GUARD = StatementGuard.of_engine(
    table_functions=[
        "file",
        "url",
        "s3",
        "remote",
        "mysql",
        "executable",
        "numbers",
        "input",
        "view",
        "eval",
        "python",
        "azureBlobStorage",
        "values",
        "format",
        "addedByALaterVersion",
    ],
    engines=[
        "Kafka",
        "File",
        "URL",
        "S3",
        "Executable",
        "QueryRunner",
        "Backup",
        "MergeTree",
        "Null",
        "ReplacingMergeTree",
        "Memory",
        "Atomic",
    ],
    higher_order=["arrayMap", "arrayFilter"],
)

DICTIONARY = "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a "

REFUSED = [
    "SELECT * FROM file('/etc/passwd')",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM url('http://169.254.169.254/')",
    "SELECT * FROM uRl ('http://x')",
    "SELECT * FROM url/* comment */('http://x')",
    "SELECT * FROM url-- comment\n('http://x')",
    "SELECT * FROM url#! comment\n('http://x')",
    "SELECT * FROM url\u00a0('http://x')",
    "SELECT * FROM `url`('http://x')",
    "SELECT * FROM \"url\"('http://x')",
    "SELECT * FROM \u201curl\u201d('http://x')",
    r"SELECT `fil\x65`('/etc/passwd')",
    "SELECT '/*', file('/etc/passwd') /* ' */",
    r"SELECT '\\', file('/etc/passwd'), '\\'",
    "SELECT 'a''', file('/etc/passwd'), '''b'",
    r"SELECT x'\', file('/etc/passwd') --'",
    "SELECT $a$ $$ $a$, file('/etc/passwd')",
    "SELECT /* /* */ ' */ file('/etc/passwd') -- '",
    "SELECT 1 // '\n, file('/etc/passwd') // '",
    "SELECT 1 -- \\\n, file('/etc/passwd')",
    "SELECT arrayMap(file, ['/etc/passwd'])",
    "SELECT arrayMap(`file`, ['/etc/passwd'])",
    "SELECT arrayMap({f:Identifier}, ['/etc/passwd'])",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    "SELECT * APPLY file FROM t",
    "SELECT * APPLY(file) FROM t",
    "WITH file('/etc/passwd') AS secret SELECT secret",
    "EXPLAIN SELECT file('/etc/passwd')",
    "SELECT * FROM t WHERE a IN (SELECT * FROM s3('http://x'))",
    "SELECT * FROM view(SELECT * FROM remote('h', system.one))",
    "SELECT * FROM executable('x', TSV, 'a String')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM python(os)",
    "SELECT * FROM addedByALaterVersion()",
    "INSERT INTO t VALUES (file('/etc/passwd'))",
    "INSERT INTO t FORMAT Values (file('/etc/passwd'))",
    "WITH 1 AS a INSERT INTO t VALUES ('x')",
    "INSERT INTO FUNCTION url('http://x') SELECT 1",
    "INSERT INTO TABLE FUNCTION file('/tmp/x') SELECT 1",
    "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT LineAsString",
    "INSERT INTO t FROM/**/INFILE '/etc/passwd' FORMAT CSV",
    "INSERT INTO t SELECT * FROM input('a Int32') FORMAT CSV\n1",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 into/* */outfile '/tmp/x'",
    "SELECT 1 INTO\u3000OUTFILE '/tmp/x'",
    "CREATE TABLE t (a String) ENGINE = Kafka('h:1', 't', 'g', 'CSV')",
    "CREATE TABLE t (a String) ENGINE Kafka SETTINGS kafka_broker_list = 'x'",
    "CREATE TABLE t (a String) EnGiNe/**/=/**/`Kafka`",
    "CREATE TABLE t (a String) ENGINE = File(CSV)",
    "CREATE TABLE t (a String) ENGINE = URL('http://x', CSV)",
    "CREATE TABLE t (a String) ENGINE = Executable('x', CSV)",
    "CREATE TABLE t (query String) ENGINE = QueryRunner",
    "CREATE MATERIALIZED VIEW v ENGINE = S3('http://x') AS SELECT 1",
    "CREATE DATABASE d ENGINE = Backup('x', File('y'))",
    "CREATE TABLE t AS url('http://x')",
    "CREATE TABLE t (a String DEFAULT file('/etc/passwd')) ENGINE = Memory",
    "CREATE VIEW v AS SELECT file('/etc/passwd')",
    "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web)",
    DICTIONARY + "SOURCE(EXECUTABLE(COMMAND 'id')) LAYOUT(FLAT())",
    DICTIONARY + "SOURCE(`EXECUTABLE`(COMMAND 'id')) LAYOUT(FLAT())",
    DICTIONARY.replace("CREATE", "CREATE OR REPLACE")
    + "SOURCE(HTTP(URL 'http://x')) LAYOUT(FLAT())",
    DICTIONARY + "SOURCE(FILE(PATH '/etc/passwd')) LAYOUT(FLAT())",
    DICTIONARY + "SOURCE(CLICKHOUSE(HOST 'x' TABLE 't')) LAYOUT(FLAT())",
    DICTIONARY + r"SOURCE(CLICKHOUSE(QUERY 'SELECT file(\'x\')'))",
    DICTIONARY + "SOURCE(CLICKHOUSE(TABLE t WHERE 'file(s)=1'))",
    DICTIONARY + "SOURCE(NULL()) SETTINGS(filter = 'x')",
    "CREATE DICTIONARY d (a UInt64 EXPRESSION file('x')) PRIMARY KEY a SOURCE(NULL())",
    "CREATE TABLE t (a Int8) ENGINE = Null PARALLEL WITH BACKUP TABLE t TO File('x')",
    "ATTACH TABLE t FROM '/tmp/x' (a Int8) ENGINE = MergeTree ORDER BY a",
    "BACKUP TABLE t TO File('/tmp/x')",
    "RESTORE TABLE t FROM S3('http://x')",
    "GRANT READ ON FILE TO default",
    "file('/etc/passwd')",
    "?? what is in /etc/passwd",
]

ALLOWED = [
    "SELECT url, file FROM t WHERE url = 'file(1)' AND file LIKE '%into outfile%'",
    "SELECT 'url(1)', \"url\", `file` FROM t ORDER BY url, file",
    "SELECT t.url, count(url), upper(file) FROM t GROUP BY ALL HAVING url IN ('a', 'b')",
    "SELECT * FROM t WHERE description = 'SELECT * FROM file(''x'') INTO OUTFILE ''y'''",
    "SELECT * FROM numbers(10) -- file('x')",
    "SELECT * /* url('x') */ FROM t",
    "SELECT arrayMap(x -> x.file, rows), arrayMap(x -> file, rows) FROM t",
    "SELECT arrayFilter(x -> x = {file:String}, names) FROM t",
    "SELECT $$ file('x') $$, \u2018url(1)\u2019",
    "SELECT engine, name FROM system.tables WHERE engine = 'Kafka'",
    "SELECT source FROM t",
    "INSERT INTO t (url, file, source) VALUES ('url(1)', 'file(2)', 'x')",
    "INSERT INTO source (file, url) SELECT 1, 2",
    'INSERT INTO t FORMAT JSONEachRow\n{"a": "file(\'x\') INTO OUTFILE"}',
    "INSERT INTO t FORMAT Native\n\x00' file( /*",
    "CREATE TABLE t (url String, file String, engine String) ENGINE = MergeTree ORDER BY url",
    "CREATE TABLE t (url String CODEC(ZSTD(3)), INDEX i url TYPE minmax) ENGINE ReplacingMergeTree",
    DICTIONARY + "SOURCE(CLICKHOUSE(QUERY 'SELECT a FROM t FINAL' USER 'default' PASSWORD ''))",
    DICTIONARY + "SOURCE(CLICKHOUSE(TABLE 't' DB 'audit')) LAYOUT(FLAT())",
    "CREATE VIEW v AS SELECT * FROM t FINAL SETTINGS max_threads = 1",
    "ALTER TABLE t ADD COLUMN file String, MODIFY TTL received_at + toIntervalDay(days)",
    "WITH url AS (SELECT 1) SELECT * FROM url",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SYSTEM RELOAD DICTIONARY audit.retention_by_account",
    "EXPLAIN indexes = 1 SELECT * FROM t",
    "SHOW CREATE TABLE t",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_refused(sql: str) -> None:
    with pytest.raises(Refused) as refusal:
        GUARD.check(parse_statement(sql.encode()))
    assert refusal.value.code == ErrorCode.ACCESS_DENIED


@pytest.mark.parametrize("sql", ALLOWED)
def test_allowed(sql: str) -> None:
    GUARD.check(parse_statement(sql.encode()))
