"""The Grafana dashboard: each of its queries on the engine, macros expanded as the plugin does.

The macros' expansions are those of grafana/clickhouse-datasource (pkg/macros/macros.go, and
`$__conditionalAll` of its front end); the variable's that of Grafana's `singlequote` format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from tests.backends.parts import ClickHouse
from tests.browser.events import insert
from tests.documents import ROOT
from tests.store import encode, enriched_event, migrated_client, refresh_counts, rfc3339

_GRAFANA = ROOT / "deploy/grafana"
_DASHBOARD: dict[str, Any] = json.loads((_GRAFANA / "dashboards/auditbus.json").read_text())
_PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in _DASHBOARD["panels"]}
NOW = datetime.now(UTC)
_FROM = NOW - timedelta(days=365)
_DAY = (NOW - timedelta(days=2)).date()
_MIDNIGHT = datetime(_DAY.year, _DAY.month, _DAY.day)  # noqa: DTZ001 - as clickhouse-connect's


def _expand(sql: str, accounts: list[str] | None) -> str:
    """Expand for a year until now, and these accounts; None is Grafana's All."""
    start, end = int(_FROM.timestamp()), int(NOW.timestamp())
    sql = re.sub(
        r"\$__dateFilter\((\w+)\)",
        rf"\1 >= toDate('{_FROM:%Y-%m-%d}') AND \1 <= toDate('{NOW:%Y-%m-%d}')",
        sql,
    )
    sql = re.sub(
        r"\$__timeFilter\((\w+)\)",
        rf"\1 >= toDateTime({start}) AND \1 <= toDateTime({end})",
        sql,
    )
    condition = r"\$__conditionalAll\((.+\)), \$account\)"
    sql = re.sub(condition, "1=1" if accounts is None else r"\1", sql)
    quoted = ",".join(f"'{account}'" for account in accounts or [])
    sql = sql.replace("${account:singlequote}", quoted)
    assert "$" not in sql, sql
    return sql


def _event(days: float, account: str = "acme", **fields: Any) -> dict[str, Any]:
    when = rfc3339(datetime.combine(_DAY, NOW.timetz()) - timedelta(days=days - 2))
    return enriched_event(account, occurred_at=when, received_at=when, **fields)


@pytest.fixture(scope="module")
def client(module_clickhouse: ClickHouse) -> Iterator[Client]:
    login = {"action": "Login", "category": "authentication", "operation": "login"}
    with migrated_client(module_clickhouse) as made:
        insert(
            made,
            [
                encode(event)
                for event in (
                    _event(2),
                    _event(2, outcome="failure"),
                    _event(2, **login),
                    _event(2, **login, outcome="failure", actor={"type": "user", "id": "u2"}),
                    _event(2, "rival", **login, outcome="failure"),
                    {**_event(400), "received_at": rfc3339(NOW)},  # before the year
                )
            ],
        )
        refresh_counts(made)
        yield made


_SEEN: dict[str, list[tuple[Any, ...]]] = {
    "Events": [(4,)],
    "Failures": [(0.5,)],
    "Accounts": [(1,)],
    "Events a day, by outcome": [(_MIDNIGHT, "failure", 2), (_MIDNIGHT, "success", 2)],
    "Events a day, by category": [(_MIDNIGHT, "authentication", 2), (_MIDNIGHT, "storage", 2)],
    "Busiest accounts": [("acme", 4, 2)],
    "Actions that fail most": [("Login", 1, 50.0), ("StorageDeleted", 1, 50.0)],
    "Failed sign-ins by country": [("United Kingdom", 1, 1)],
}
_SEEN_OF_ALL: dict[str, list[tuple[Any, ...]]] = {
    "Events": [(5,)],
    "Failures": [(0.6,)],
    "Accounts": [(2,)],
    "Events a day, by outcome": [(_MIDNIGHT, "failure", 3), (_MIDNIGHT, "success", 2)],
    "Events a day, by category": [(_MIDNIGHT, "authentication", 3), (_MIDNIGHT, "storage", 2)],
    "Busiest accounts": [("acme", 4, 2), ("rival", 1, 1)],
    "Actions that fail most": [("Login", 2, 66.7), ("StorageDeleted", 1, 50.0)],
    "Failed sign-ins by country": [("United Kingdom", 2, 2)],
}


@pytest.mark.parametrize("title", _PANELS)
def test_every_panel_shows_what_is_stored(client: Client, title: str) -> None:
    (target,) = _PANELS[title]["targets"]
    for accounts, seen in ((["acme"], _SEEN), (None, _SEEN_OF_ALL)):
        result = client.query(_expand(target["rawSql"], accounts))
        if title == "Latest deletions":
            assert [row[1:4] for row in result.result_rows] == [("acme", "Ann", "ann@example.org")]
        elif title == "Counted at":
            ((counted_at,),) = result.result_rows
            assert abs(counted_at.replace(tzinfo=UTC) - NOW) < timedelta(minutes=10)
        else:
            assert result.result_rows == seen[title]
    if _PANELS[title]["type"] == "timeseries":
        assert target["queryType"] == "timeseries"
        assert result.column_names[0] == "time"


def test_the_variable_lists_the_accounts(client: Client) -> None:
    (variable,) = _DASHBOARD["templating"]["list"]
    assert variable["name"] == "account"
    assert client.query(variable["query"]).result_rows == [("acme",), ("rival",)]


def test_charts_of_all_accounts_read_kept_sums(client: Client) -> None:
    for title in ("Events", "Failures", "Actions that fail most", "Events a day, by category"):
        sql = _expand(_PANELS[title]["targets"][0]["rawSql"], None)
        plan = "\n".join(line for (line,) in client.query(f"EXPLAIN {sql}").result_rows)
        assert "by_day_and_action" in plan, title


def test_the_files_belong_together() -> None:
    (source,) = yaml.safe_load((_GRAFANA / "provisioning/datasources/auditbus.yaml").read_text())[
        "datasources"
    ]
    kind = {"type": source["type"], "uid": source["uid"]}
    (variable,) = _DASHBOARD["templating"]["list"]
    assert variable["datasource"] == kind
    for panel in _PANELS.values():
        assert panel["datasource"] == kind
        assert all(target["datasource"] == kind for target in panel["targets"])
    (provider,) = yaml.safe_load((_GRAFANA / "provisioning/dashboards/auditbus.yaml").read_text())[
        "providers"
    ]
    page = (ROOT / "docs/sql-clients.md").read_text()
    assert f"`{provider['options']['path']}`" in page
    named = set(re.findall(r"\$([A-Z_]+)", json.dumps(source)))
    assert named == set(re.findall(r"`(AUDITBUS_GRAFANA_[A-Z]+)`", page))


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in _DASHBOARD["panels"]}) == len(_PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in _PANELS.values():
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
