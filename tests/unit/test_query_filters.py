"""Filters become one predicate whose SQL is constant: values are bound, whatever they hold."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.console.query import (
    AddressRange,
    EventFilter,
    Predicate,
    event_predicate,
    parse_addresses,
    parse_since,
    parse_until,
)
from auditbus.console.query.predicate import moment_parameter

_NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
_TEXTS = st.lists(st.text(min_size=1), min_size=1, max_size=3).map(tuple)
_PLAIN = EventFilter(
    accounts=("a",),
    users=("a",),
    actions=("a",),
    categories=("a",),
    outcomes=("success",),
    addresses=(parse_addresses("81.2.69.0/24"),),
    countries=("DE",),
    devices=("chrome",),
    since=_NOW,
    until=_NOW,
    text="word",
    ids=(UUID(int=7),),
)


@given(_TEXTS, _TEXTS, _TEXTS, _TEXTS, st.text())
def test_the_sql_does_not_depend_on_values(
    accounts: tuple[str, ...],
    users: tuple[str, ...],
    countries: tuple[str, ...],
    devices: tuple[str, ...],
    text: str,
) -> None:
    hostile = EventFilter(
        accounts=accounts,
        users=users,
        actions=users,
        categories=countries,
        outcomes=devices,
        addresses=_PLAIN.addresses,
        countries=countries,
        devices=devices,
        since=_NOW,
        until=_NOW,
        text=_PLAIN.text,
        ids=_PLAIN.ids,
    )
    assert event_predicate(hostile).sql == event_predicate(_PLAIN).sql
    # What is searched for decides which conditions there are, but never stands in them.
    searched = event_predicate(EventFilter(text=f"zqxj{text} {text}zqxj"))
    assert "zqxj" not in searched.sql
    assert "zqxj" in str(searched.parameters)


def test_every_parameter_is_named_in_the_sql_and_the_other_way_round() -> None:
    predicate = event_predicate(_PLAIN)
    assert set(re.findall(r"\{(\w+):", predicate.sql)) == set(predicate.parameters)


def test_no_filter_holds_for_every_row() -> None:
    assert event_predicate(EventFilter()) == Predicate()


def test_parameters_of_two_predicates_must_not_clash() -> None:
    with pytest.raises(ValueError, match="since"):
        Predicate("a = {since:String}", {"since": 1}) & Predicate("b", {"since": 2})


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("81.2.69.142", "81.2.69.142", "81.2.69.142"),
        ("81.2.69.142/24", "81.2.69.0", "81.2.69.255"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("::ffff:81.2.69.0/120", "::ffff:81.2.69.0", "::ffff:81.2.69.255"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        # `::` is an event without an address: in no network.
        ("::/0", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_addresses_are_ranges_of_ipv6(text: str, first: str, last: str) -> None:
    def mapped(address: str) -> IPv6Address:
        parsed = ip_address(address)
        return parsed if isinstance(parsed, IPv6Address) else IPv6Address(f"::ffff:{address}")

    found = parse_addresses(text)
    assert (IPv6Address(found.first), IPv6Address(found.last)) == (mapped(first), mapped(last))


@pytest.mark.parametrize("text", ["", "8.8.8", "1.2.3.4/99", "example.org", "1.2.3.4' OR 1=1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_addresses(text)


def test_address_ranges_compare_by_value() -> None:
    assert parse_addresses("::1") == AddressRange("::1", "::1")


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2h", _NOW - timedelta(hours=2), _NOW - timedelta(hours=2)),
        ("7d", _NOW - timedelta(days=7), _NOW - timedelta(days=7)),
        ("90s", _NOW - timedelta(seconds=90), _NOW - timedelta(seconds=90)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
        (
            "2026-11-22T10:00:00.5+02:00",
            datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC),
            datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC),
        ),
        (
            "2026-11-22t10:00:00z",
            datetime(2026, 11, 22, 10, tzinfo=UTC),
            datetime(2026, 11, 22, 10, tzinfo=UTC),
        ),
    ],
)
def test_moments(text: str, since: datetime, until: datetime) -> None:
    assert (parse_since(text, _NOW), parse_until(text, _NOW)) == (since, until)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1x",
        "-2h",
        "2026-02-30",
        "2026-11-22T10:00:00",
        "999999999w",
        "2026-11-22T25:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="7d"):
        parse_since(text, _NOW)


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_outside_of_what_clickhouse_holds_are_clamped(moment: datetime) -> None:
    assert "1900-01-01" <= moment_parameter(moment)[:10] <= "2299-12-31"
