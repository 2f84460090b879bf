"""Stored events for the console's benchmark, made inside the engine: ten million in minutes."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import moment_parameter

__all__ = ["ACCOUNTS", "SPAN", "fill", "merge_past_months"]

ACCOUNTS = 5_000
SPAN = timedelta(days=170)  # less than the retention, so that nothing expires meanwhile
_CHUNK_ROWS = 250_000

# Deterministic but for the times. The cube makes few accounts large: account-0 has some 6 % of all
# events, account-2000 some 0.01 %.
_MAKE = """
INSERT INTO audit.events (
    id, time, received_at, account, account_name, action, category, operation, description, outcome,
    actor_type, actor_id, actor_name, actor_email, targets, ip, ip_text, user_agent, country_code,
    country, region, city, location, device, device_type, os, browser, error_code, error_message,
    origin_partition, origin_offset, event, retention_days, on_hold, version
)
WITH
    number AS n,
    cityHash64(n, 'account') / 18446744073709551616 AS share,
    toUInt32(share * share * share * {accounts:UInt32}) AS account_number,
    cityHash64(n, 'user') % 40 AS member,
    account_number * 40 + member AS user_number,
    cityHash64(n, 'action') % 41 AS action_number,
    cityHash64(n, 'target') % 1000000 AS target_number,
    cityHash64(user_number, 'place') % 8 AS place,
    cityHash64(user_number, 'device') % 40 AS browser_version,
    cityHash64(n, 'failed') % 33 = 0 AS failed,
    ['Ann','Bob','Carla','Dmitri','Eve','Farid','Grace','Hiro','Inés','José','Kim','Lena','Mats','Nina','Omar','Paul']
        [user_number % 16 + 1] AS first_name,
    ['Abbott','Brown','Castillo','Dubois','Eriksen','Fischer','Garcia','Huang','Ivanov','Jones','Kowalski','Lopez']
        [intDiv(user_number, 16) % 12 + 1] AS last_name,
    ['storage','schedule','repository','account','backup','session'][action_number % 6 + 1] AS sort,
    ['create','update','delete'][action_number % 3 + 1] AS did,
    ['GB','US','DE','FR','JP','BR','IN','PL'][place + 1] AS code,
    ['United Kingdom','United States','Germany','France','Japan','Brazil','India','Poland'][place + 1] AS land,
    ['London','Chicago','Berlin','Paris','Tokyo','Recife','Pune','Gdynia'][place + 1] AS town,
    toDateTime64({start:String}, 3, 'UTC')
        + toIntervalMillisecond(intDiv(n * {span_ms:UInt64}, {total:UInt64}) + cityHash64(n, 'ms') % 1000) AS moment,
    formatDateTime(moment, '%Y-%m-%dT%H:%i:%S') || '.' || leftPad(toString(toUnixTimestamp64Milli(moment) % 1000), 3, '0') || 'Z' AS stamp,
    lower(hex(toUInt64(toUnixTimestamp64Milli(moment)))) AS stamp_hex,
    lower(hex(cityHash64(n, 'id'))) AS random_hex,
    concat(substring(stamp_hex, 1, 8), '-', substring(stamp_hex, 9, 4), '-7', substring(random_hex, 1, 3), '-a', substring(random_hex, 4, 3), '-', substring(lower(hex(cityHash64(n, 'id2'))), 1, 12)) AS id_text,
    concat(toString(user_number % 223 + 1), '.', toString(user_number % 256), '.', toString(user_number * 7 % 256), '.', toString(user_number * 13 % 256)) AS address,
    concat(upper(substring(sort, 1, 1)), substring(sort, 2), upper(substring(did, 1, 1)), substring(did, 2), 'd') AS action_name,
    concat('Chrome ', toString(100 + browser_version), ' on Windows 10/11') AS device_label,
    concat('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/', toString(100 + browser_version), '.0.0.0 Safari/537.36') AS agent,
    concat('repo-', toString(target_number % 20000)) AS target_name,
    concat(did, 'd ', sort, ' ', target_name, ' in plan ', toString(n % 10)) AS words
SELECT
    toUUID(id_text), moment, moment, concat('account-', toString(account_number)), concat('Account ', toString(account_number)),
    action_name, sort, did, words, if(failed, 'failure', 'success'),
    'user', toString(user_number), concat(first_name, ' ', last_name), lower(concat(first_name, '.', last_name, toString(user_number), '@example.org')),
    concat(sort, ' ', target_name, ' ', toString(target_number)), toIPv6(concat('::ffff:', address)), address, agent, code,
    land, town, town, concat(town, ', ', land), device_label, 'desktop', 'Windows', 'Chrome', if(failed, 'E42', ''), if(failed, 'quota exceeded', ''),
    toUInt32(account_number % 12), intDiv(n, 12),
    concat('{"id":"', id_text, '","schema_version":1,"action":"', action_name, '","occurred_at":"', stamp,
        '","account":{"id":"account-', toString(account_number), '","name":"Account ', toString(account_number),
        '"},"actor":{"type":"user","id":"', toString(user_number), '","name":"', first_name, ' ', last_name, '","email":"', lower(concat(first_name, '.', last_name, toString(user_number), '@example.org')),
        '"},"targets":[{"type":"', sort, '","id":"', toString(target_number), '","name":"', target_name, '"}],"description":"', words,
        '","context":{"ip":"', address, '","user_agent":"', agent, '","request_id":"', random_hex, stamp_hex,
        '"},"metadata":{"plan":"pro","number":', toString(n), '},"producer":{"service":"api","version":"1.2","instance":"h1","epoch":1,"seq":', toString(n), '}',
        if(failed, ',"error":{"code":"E42","message":"quota exceeded"}', ''),
        ',"received_at":"', stamp, '","category":"', sort, '","operation":"', did,
        '","location":{"country_code":"', code, '","country":"', land, '","region":"', town, '","city":"', town, '","latitude":51.5,"longitude":-0.1,"label":"', town, ', ', land, '","database":"DBIP-City-Lite"}',
        ',"device":{"type":"desktop","os":"Windows","os_version":"10","browser":"Chrome","browser_version":"', toString(100 + browser_version), '","is_bot":false,"label":"', device_label,
        '"},"origin":{"topic":"audit.events","partition":', toString(account_number % 12), ',"offset":', toString(intDiv(n, 12)), '}}'),
    180, false, bitNot(toUInt64(toUnixTimestamp64Milli(moment)))
FROM numbers({first:UInt64}, {rows:UInt64})
"""  # noqa: E501


def fill(client: Client, total: int, end: datetime) -> Iterator[int]:
    """Store `total` events that end at `end`; yields how many are stored, chunk by chunk."""
    for first in range(0, total, _CHUNK_ROWS):
        rows = min(_CHUNK_ROWS, total - first)
        client.command(
            _MAKE,
            parameters={
                "accounts": ACCOUNTS,
                "start": moment_parameter(end - SPAN),
                "span_ms": SPAN // timedelta(milliseconds=1),
                "total": total,
                "first": first,
                "rows": rows,
            },
        )
        yield first + rows


def merge_past_months(client: Client) -> None:
    """Do at once what time does to months in which nothing happens any more."""
    rows = client.query(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND database = 'audit'"
        " AND table = 'events' ORDER BY partition"
    ).result_rows
    for (partition,) in rows[:-1]:
        client.command(f"OPTIMIZE TABLE audit.events PARTITION {partition} FINAL")
