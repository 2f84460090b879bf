"""The analysts' role, row policies and quota on a ClickHouse server, as docs/sql-clients.md says.

Needs a server, in a container: the embedded engine has no roles. What of it the engine can show is
in test_analyst_rights.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from auditbus.sinks.clickhouse.error_codes import ServerCode
from auditbus.sinks.clickhouse.migrations import load_server_migrations, missing_server_migrations
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.backends.selection import Backend
from tests.documents import blocks
from tests.store import encode, enriched_event, migrated_client, refresh_counts

_QUOTA_EXCEEDED = 201
_PASSWORD = "a-long-password-of-her-own"
_ACCOUNTS = "SELECT account, toUInt32(count()) FROM audit.{} GROUP BY account ORDER BY account"
Analyst = Callable[..., Client]


@pytest.fixture(scope="module")
def administrator(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A server with two events of acme and three of rival, each stored twice."""
    if backend is not Backend.CONTAINERS:
        # Skipped where parts are required, too: nothing embedded has roles.
        pytest.skip("roles need a ClickHouse server, so Docker: AUDITBUS_TEST_BACKEND=containers")
    with migrated_client(request.getfixturevalue("module_clickhouse")) as client:
        events = [enriched_event("acme") for _ in range(2)]
        events += [enriched_event("rival") for _ in range(3)]
        for token in ("first", "a replay, after a crash"):
            Writer(client).insert([encode(event) for event in events], token)
        refresh_counts(client)
        yield client


@pytest.fixture
def analyst(administrator: Client, module_clickhouse: ClickHouse) -> Iterator[Analyst]:
    """Make an analyst of some accounts, and connect as them."""
    made: list[tuple[str, Client]] = []

    def make(*accounts: str) -> Client:
        name, password = f"analyst_{secrets.token_hex(4)}", secrets.token_urlsafe(16)
        create, grant, insert = (_documented(number) for number in range(3))
        administrator.command(create.replace("ann", name).replace(_PASSWORD, password))
        administrator.command(grant.replace("ann", name))
        statement, _, _ = insert.partition(" VALUES ")
        for account in accounts:
            administrator.command(f"{statement} VALUES ('{name}', '{account}')")
        client = clickhouse_connect.get_client(
            host=module_clickhouse.host,
            port=module_clickhouse.port,
            username=name,
            password=password,
            autogenerate_session_id=False,
        )
        made.append((name, client))
        return client

    yield make
    for name, client in made:
        client.close()
        administrator.command(f"DROP USER {name}")


def _documented(number: int) -> str:
    """Return a statement of the page's SQL, as it stands there."""
    text = "".join(block.text for block in blocks("sql") if block.name.startswith("sql-clients"))
    return text.split(";")[number].strip()


def test_the_server_migration_is_applied_and_bears_being_run_again(administrator: Client) -> None:
    assert missing_server_migrations(administrator) == []
    for migration in load_server_migrations():
        for statement in migration.statements(dictionary_user="default"):
            administrator.command(statement)


def test_an_analyst_sees_the_accounts_granted(analyst: Analyst) -> None:
    client = analyst("acme")
    for table in ("activity", "log"):
        assert client.query(_ACCOUNTS.format(table)).result_rows == [("acme", 2)]
    counted = "SELECT account, toUInt32(sum(events)) FROM audit.daily_counts GROUP BY account"
    assert client.query(counted).result_rows == [("acme", 2)]
    assert client.query("SELECT count() FROM audit.events FINAL").result_rows == [(2,)]
    by_day = "SELECT toUInt32(sum(events)) FROM audit.daily_counts GROUP BY day"
    assert client.query(by_day).result_rows == [(2,)], "the projection has no account"


def test_without_a_grant_nothing_is_seen_and_a_star_is_everything(analyst: Analyst) -> None:
    assert analyst().query(_ACCOUNTS.format("activity")).result_rows == []
    assert analyst("*").query(_ACCOUNTS.format("activity")).result_rows == [
        ("acme", 2),
        ("rival", 3),
    ]


def test_analysts_do_not_see_each_others_accounts(analyst: Analyst) -> None:
    one, other = analyst("acme"), analyst("rival")
    assert one.query(_ACCOUNTS.format("activity")).result_rows == [("acme", 2)]
    assert other.query(_ACCOUNTS.format("activity")).result_rows == [("rival", 3)]
    assert len(one.query("SELECT * FROM audit.analyst_accounts").result_rows) == 1


def test_an_account_can_be_taken_back(analyst: Analyst, administrator: Client) -> None:
    client = analyst("acme", "rival")
    name = client.command("SELECT currentUser()")
    administrator.command(_documented(3).replace("ann", str(name)))
    assert client.query(_ACCOUNTS.format("activity")).result_rows == [("rival", 3)]


def test_a_further_role_with_a_policy_of_its_own_widens_nothing(
    analyst: Analyst, administrator: Client
) -> None:
    client = analyst("acme")
    name = client.command("SELECT currentUser()")
    administrator.command(f"CREATE ROW POLICY wide ON audit.events USING 1 TO {name}")
    try:
        assert client.query(_ACCOUNTS.format("activity")).result_rows == [("acme", 2)]
    finally:
        administrator.command("DROP ROW POLICY wide ON audit.events")


def test_without_the_role_there_is_no_right_at_all(analyst: Analyst) -> None:
    """SET ROLE NONE drops the restrictive policy, and with it every grant."""
    client = analyst("acme")
    session = {"session_id": secrets.token_hex(8)}
    client.command("SET ROLE NONE", settings=session)
    with pytest.raises(DatabaseError) as refused:
        client.query("SELECT 1 FROM audit.activity", settings=session)
    assert refused.value.code == ServerCode.ACCESS_DENIED


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM audit.api_tokens",
        "SELECT * FROM audit.retention",
        "INSERT INTO audit.analyst_accounts (user, account) VALUES (currentUser(), '*')",
        "ALTER TABLE audit.events DELETE WHERE 1",
        "DROP TABLE audit.daily_counts",
        "CREATE USER eve",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    ],
)
def test_anything_else_is_refused(analyst: Analyst, statement: str) -> None:
    client = analyst("acme")
    with pytest.raises(DatabaseError) as refused:
        client.command(statement)
    assert refused.value.code in {ServerCode.ACCESS_DENIED, ServerCode.READONLY}


def test_limits_can_be_lowered_not_lifted(analyst: Analyst) -> None:
    client = analyst("acme")
    for setting, value in (("max_execution_time", 0), ("max_memory_usage", 0), ("readonly", 0)):
        with pytest.raises(DatabaseError) as refused:
            client.query("SELECT 1", settings={setting: value})
        assert refused.value.code in {
            ServerCode.SETTING_CONSTRAINT_VIOLATION,
            ServerCode.READONLY,
        }
    sql = "SELECT getSetting('max_execution_time')"
    assert client.query(sql, settings={"max_execution_time": 5}).result_rows == [(5,)]


def test_the_quota_counts_for_each_user_and_stops(analyst: Analyst, administrator: Client) -> None:
    client, other = analyst("acme"), analyst("acme")
    administrator.command(
        "ALTER QUOTA auditbus_analyst FOR INTERVAL 1 hour MAX queries = 20, execution_time = 1800"
    )
    try:
        codes = {_answered(client) for _ in range(30)}
        assert codes == {None, _QUOTA_EXCEEDED}
        assert _answered(other) is None
    finally:
        administrator.command(
            "ALTER QUOTA auditbus_analyst "
            "FOR INTERVAL 1 hour MAX queries = 5000, execution_time = 1800"
        )


def _answered(client: Client) -> int | None:
    try:
        client.query("SELECT 1")
    except DatabaseError as error:
        return error.code
    return None
