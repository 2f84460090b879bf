"""The analysts' rights (schemas/clickhouse/server) on the engine here, which has no roles.

What the migration grants its role, the engine's configuration gives its one user here: the same
grants, row policies and settings, word for word. That the statements make such a role on a server,
and give it to whom they should, is test_analyst_role.py's, which needs a server.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.sinks.clickhouse.error_codes import ServerCode
from auditbus.sinks.clickhouse.migrations import (
    check_migrated,
    load_server_migrations,
    missing_server_migrations,
)
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.local import LocalClickHouse
from tests.documents import ROOT
from tests.store import encode, enriched_event, migrated_client, refresh_counts

(_MIGRATION,) = load_server_migrations()
_STATEMENTS = list(_MIGRATION.statements(dictionary_user="default"))
_SETTING = re.compile(
    r"(?P<name>\w+) = (?P<value>'?\w+'?)"
    r"(?: MIN (?P<min>\d+))?(?: MAX (?P<max>\d+))?(?P<const> CONST)?"
)
_SEEN, _UNSEEN = "acme", "rival"
Ask = Callable[..., list[Any]]


def _matching(pattern: str) -> list[re.Match[str]]:
    found = [re.match(pattern, text, re.DOTALL) for text in _STATEMENTS]
    return [match for match in found if match]


def _users(*, granted: bool = True) -> str:
    """Return the migration's rights as the configuration of one user."""
    grants = _matching(r"(GRANT SELECT ON [\w.]+) TO auditbus_analyst$")
    policies = _matching(
        r"CREATE ROW POLICY IF NOT EXISTS auditbus_analyst ON audit\.(\w+)\s+USING (.+?)"
        r"\s+AS RESTRICTIVE TO auditbus_analyst$"
    )
    assert len(grants) == 5
    assert len(policies) == 3
    (profile,) = _matching(r"CREATE SETTINGS PROFILE .+? SETTINGS(.+)TO auditbus_analyst$")
    settings, constraints = "", ""
    for setting in _SETTING.finditer(profile[1]):
        name, value = setting["name"], setting["value"].strip("'")
        settings += f"<{name}>{value}</{name}>"
        limits = "".join(f"<{n}>{setting[n]}</{n}>" for n in ("min", "max") if setting[n])
        limits += "<readonly/>" if setting["const"] else ""
        constraints += f"<{name}>{limits}</{name}>"
    given = "".join(f"<query>{grant[1]}</query>" for grant in grants) if granted else ""
    filters = "".join(
        f"<{policy[1]}><filter>{escape(policy[2])}</filter></{policy[1]}>" for policy in policies
    )
    return (
        f"<clickhouse><profiles><default>{settings}<constraints>{constraints}</constraints>"
        "</default></profiles><users><default><password></password>"
        "<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
        f"<grants>{given}</grants><databases><audit>{filters}</audit></databases>"
        "</default></users><quotas><default/></quotas></clickhouse>"
    )


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask as an analyst who was granted one of two accounts, or what is given."""
    directory = tmp_path_factory.mktemp("analyst")
    store = LocalClickHouse(directory)
    store.start()
    try:
        with migrated_client(store) as client:
            _fill(client)
    finally:
        store.stop()

    def asked(*statements: str, accounts: tuple[str, ...] = (_SEEN,)) -> list[Any]:
        granted = ", ".join(f"('default', '{account}')" for account in accounts)
        return _run(directory / "store", _administrator(granted), _users(), statements)

    return asked


def _fill(client: Client) -> None:
    (table,) = [text for text in _STATEMENTS if text.startswith("CREATE TABLE")]
    client.command(table)
    events = [enriched_event(_SEEN) for _ in range(2)] + [enriched_event(_UNSEEN) for _ in range(3)]
    for token in ("first", "a replay, after a crash"):
        Writer(client).insert([encode(event) for event in events], token)
    refresh_counts(client)


def _administrator(granted: str) -> list[str]:
    truncate = ["TRUNCATE TABLE audit.analyst_accounts"]
    values = f"('somebody else', '{_UNSEEN}')" + (f", {granted}" if granted else "")
    insert = f"INSERT INTO audit.analyst_accounts (user, account) VALUES {values}"
    return [*truncate, insert]


def _run(store: Path, before: list[str], users: str, statements: tuple[str, ...]) -> list[Any]:
    for answer in _engine(store, "engine.xml", before):
        assert answer == []
    (store / "analyst-users.xml").write_text(users)
    server = (store / "engine.xml").read_text().replace("users.xml", "analyst-users.xml")
    (store / "analyst.xml").write_text(server)
    return _engine(store, "analyst.xml", list(statements))


def _engine(store: Path, configuration: str, statements: list[str]) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.analyst_engine", configuration],
        cwd=store,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_embedded_engine_gets_no_server_migration(tmp_path: Path) -> None:
    store = LocalClickHouse(tmp_path)
    store.start()
    try:
        with migrated_client(store) as client:
            assert missing_server_migrations(client) == [_MIGRATION]
            applied = client.query("SELECT version FROM audit.schema_migrations").result_rows
            assert (_MIGRATION.version,) not in applied
            check_migrated(client)
    finally:
        store.stop()


_ACCOUNTS = "SELECT account, toUInt32(count()) FROM audit.{} GROUP BY account ORDER BY account"


def test_only_the_accounts_granted_are_seen_whatever_is_asked(ask: Ask) -> None:
    activity, log, counts, own, through_json = ask(
        _ACCOUNTS.format("activity"),
        _ACCOUNTS.format("log"),
        "SELECT account, toUInt32(sum(events)) FROM audit.daily_counts GROUP BY account",
        "SELECT user, account FROM audit.analyst_accounts",
        "SELECT DISTINCT JSONExtractString(event, 'account', 'id') FROM audit.events",
    )
    assert activity == log == counts == [[_SEEN, 2]]
    assert own == [["default", _SEEN]]
    assert through_json == [[_SEEN]]


def test_sums_over_all_accounts_are_sums_over_those_granted(ask: Ask) -> None:
    """The projection has no account: it must not answer where a policy asks for one."""
    found = ask(
        "SELECT toUInt32(sum(events)) FROM audit.daily_counts",
        "SELECT toUInt32(sum(events)) FROM audit.daily_counts GROUP BY day",
        "SELECT toUInt32(sum(events)) FROM audit.daily_counts WHERE day > today() - 365 "
        "GROUP BY day, action",
        "SELECT toUInt32(count()) FROM audit.events FINAL",
        "SELECT toUInt32(count()) FROM audit.activity WHERE account = 'rival'",
    )
    assert found == [[[2]], [[2]], [[2]], [[2]], [[0]]]


@pytest.mark.parametrize(
    ("accounts", "seen"),
    [((), []), ((_UNSEEN,), [[_UNSEEN, 3]]), (("*",), [[_SEEN, 2], [_UNSEEN, 3]])],
)
def test_a_grant_decides(ask: Ask, accounts: tuple[str, ...], seen: list[Any]) -> None:
    assert ask(_ACCOUNTS.format("activity"), accounts=accounts) == [seen]


def test_anything_else_is_refused(ask: Ask) -> None:
    secret = ("retention", "holds", "legal_holds", "erasures", "api_tokens", "sessions", "ingest")
    statements = [
        *(f"SELECT * FROM audit.{table} LIMIT 1" for table in secret),
        "SELECT dictGet('audit.retention_by_account', 'days', 'acme')",
        "SELECT * FROM file('../../../etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "INSERT INTO audit.analyst_accounts (user, account) VALUES ('default', '*')",
        "ALTER TABLE audit.events DELETE WHERE 1",
        "DROP TABLE audit.daily_counts",
        "CREATE TABLE audit.mine (n UInt8) ENGINE = Memory",
        "SYSTEM RELOAD DICTIONARY audit.retention_by_account",
    ]
    refused = {ServerCode.ACCESS_DENIED, ServerCode.READONLY}
    for statement, answer in zip(statements, ask(*statements), strict=True):
        assert answer in refused, (statement, answer)


def test_no_function_leads_round_the_policies(ask: Ask) -> None:
    statements = [
        "SELECT * FROM merge('audit', '^api_tokens$')",
        "SELECT * FROM merge('audit', '^(events|daily_counts)$') WHERE account = 'rival'",
        "SELECT * FROM loop('audit', 'daily_counts') WHERE account = 'rival' LIMIT 1",
        "SELECT * FROM mergeTreeIndex('audit', 'events')",
        "SELECT * FROM mergeTreeProjection('audit', 'daily_counts', 'by_day_and_action')",
        "SELECT * FROM mergeTreeTextIndex('audit', 'events', 'search_words')",
    ]
    for statement, answer in zip(statements, ask(*statements), strict=True):
        assert isinstance(answer, int) or answer == [], (statement, answer)


def test_of_the_files_the_engine_tells_more_than_of_the_rows(ask: Ask) -> None:
    """A limit of ClickHouse that docs/sql-clients.md names: how much there is, is no secret."""
    parts, marks = ask(
        "SELECT toUInt32(sum(rows)) FROM system.parts WHERE active AND table = 'daily_counts'",
        "SELECT * FROM mergeTreeAnalyzeIndexes('audit', 'events')",
    )
    assert parts == [[2]]  # a row for each account, also for the one not granted
    assert all(len(row) == 2 and row[0].startswith("202") for row in marks)  # part, ranges
    assert "it tells how many rows and files there are" in " ".join(
        (ROOT / "docs/sql-clients.md").read_text().split()
    )


def test_limits_can_be_lowered_not_lifted(ask: Ask) -> None:
    refused = [
        "SET readonly = 0",
        "SET max_execution_time = 100000",
        "SET max_execution_time = 0",
        "SET max_memory_usage = 0",
        "SET max_memory_usage = 100000000000",
        "SET max_result_rows = 0",
        "SET timeout_overflow_mode = 'break'",
    ]
    found = ask(*refused, "SET max_execution_time = 5", "SELECT getSetting('max_execution_time')")
    assert set(found[:-2]) <= {ServerCode.SETTING_CONSTRAINT_VIOLATION, ServerCode.READONLY}
    assert found[-2:] == [[], [[5]]]


def test_every_statement_is_sql_to_the_engine(ask: Ask) -> None:
    quoted = ["'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in _STATEMENTS]
    found = ask(
        *(f"SELECT formatQuery({text})" for text in quoted), "SELECT formatQuery('GRANT SELECT TO')"
    )
    *formatted, wrong = found
    assert wrong == ServerCode.SYNTAX_ERROR
    assert all(isinstance(answer, list) for answer in formatted)
    kinds = [answer[0][0].split(" ")[0] for answer in formatted]
    assert kinds.count("CREATE") == 10
    assert kinds.count("GRANT") == 5
