"""The parts of the screen that need no browser: addresses of views, times, bars, JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.console.access import Principal, Role, Scope
from auditbus.console.query.statistics import Bucket, FacetValue
from auditbus.console.web.screen.assets import asset_url
from auditbus.console.web.screen.chart import chart_of, grid
from auditbus.console.web.screen.clock import Clock, zone_of
from auditbus.console.web.screen.facets import facets_of
from auditbus.console.web.screen.pretty import indented
from auditbus.console.web.screen.ranges import PRESETS, choices, range_label, step_of
from auditbus.console.web.screen.view import FILTERS, View
from auditbus.console.web.screen.wanted import Refusal, wanted_of

_NOW = datetime(2026, 11, 22, 21, 43, 53, 123_000, tzinfo=UTC)
_UTC = Clock(_NOW, zone_of("UTC"))
_BERLIN = Clock(_NOW, zone_of("Europe/Berlin"))
_names = st.sampled_from([*FILTERS, "scope", "text", "since", "until", "older_than", "tz", "x"])
_pairs = st.lists(st.tuples(_names, st.text(max_size=12)))


@given(_pairs)
def test_a_view_and_its_address_say_the_same(pairs: list[tuple[str, str]]) -> None:
    view = View.of(pairs)
    assert View.of(parse_qsl(view.query)) == view
    assert View.of(reversed(view.pairs)).values.keys() == view.values.keys()
    assert view.url().startswith("/")
    assert not {"\r", "\n", " ", "<", '"'} & set(view.url())


@given(_pairs, st.sampled_from(FILTERS), st.text(min_size=1).filter(str.strip))
def test_a_filter_is_added_and_removed(pairs: list[tuple[str, str]], name: str, text: str) -> None:
    view, value = View.of(pairs).but(), text.strip()
    narrowed = view.adding(name, value)
    assert value in narrowed.all(name)
    if value not in view.all(name):
        assert narrowed.removing(name, value) == view
        assert view.toggling(name, value).toggling(name, value) == view
    assert not narrowed.unfiltered().is_filtered


def test_narrowing_begins_at_the_first_page() -> None:
    view = View.of([("action", "Login"), ("older_than", "x"), ("tz", "UTC")])
    assert not view.is_first_page
    assert view.adding("user", "u1").url() == "/?user=u1&action=Login&tz=UTC"
    assert view.but(since="7d").is_first_page


def test_the_api_is_asked_for_the_same_events() -> None:
    assert View().for_api() == "since=30d"
    assert View.of([("since", "all"), ("tz", "UTC"), ("live", "1")]).for_api() == ""
    view = View.of([("text", "a b"), ("until", "2026-11-22"), ("older_than", "x")])
    assert view.for_api() == "text=a+b&until=2026-11-22"


_PERSON = Principal("p", "P", Role.AUDITOR, actor_id="u", accounts=frozenset({"a"}))


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        (("since", "yesterday"), "since"),
        (("until", "2026-02-30"), "until"),
        (("ip", "1.2.3"), "ip"),
        (("scope", "everything"), "scope"),
        (("older_than", "2026"), "older_than"),
    ],
)
def test_what_is_not_understood_is_named(pair: tuple[str, str], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        wanted_of(View.of([pair]), _PERSON, _NOW)
    assert list(refused.value.messages) == [field]


def test_a_range_must_begin_before_it_ends() -> None:
    view = View.of([("since", "2026-11-22"), ("until", "2026-11-20")])
    with pytest.raises(Refusal, match="since"):
        wanted_of(view, _PERSON, _NOW)


def test_without_a_scope_the_widest_is_shown_and_another_shows_nothing() -> None:
    assert wanted_of(View(), _PERSON, _NOW).scope is Scope.ORGANIZATION
    nobody = Principal("n", "N", Role.MEMBER)
    assert wanted_of(View(), nobody, _NOW).predicate.sql.endswith("(false)")
    mine = wanted_of(View.of([("scope", "mine")]), nobody, _NOW)
    assert mine.predicate.sql.endswith("(false)")


def test_a_facet_is_counted_without_its_own_filter() -> None:
    wanted = wanted_of(View.of([("action", "Login"), ("user", "u1")]), _PERSON, _NOW)
    assert "actions" not in wanted.besides("action").parameters
    assert "users" in wanted.besides("action").parameters
    assert "seen_accounts" in wanted.besides("action").parameters


def test_times() -> None:
    assert _UTC.full(_NOW) == "22 November 2026, 21:43:53.123 UTC"
    assert _BERLIN.full(_NOW) == "22 November 2026, 22:43:53.123 CET"
    assert _BERLIN.zone_name == "Europe/Berlin (UTC+1)"
    assert Clock(_NOW, zone_of("Asia/Kolkata")).zone_name == "Asia/Kolkata (UTC+5:30)"
    assert Clock(_NOW, zone_of("America/New_York")).zone_name == "America/New York (UTC-5)"
    assert (_UTC.date(_NOW), _UTC.time(_NOW)) == ("22 Nov", "21:43:53")
    assert _UTC.date(_NOW - timedelta(days=365)) == "2025-11-22"
    assert _UTC.ago(_NOW - timedelta(minutes=3)) == "3 minutes ago"
    assert _UTC.ago(_NOW + timedelta(hours=1, minutes=5)) == "in 1 hour"
    assert _UTC.ago(_NOW) == "just now"
    assert _BERLIN.from_field("2026-11-22T10:00") == "2026-11-22T09:00:00Z"
    for text in ("2h", "2026-11-22", "2026-11-22T10:00:00Z", "nonsense", "T", "9999-99-99T10:00"):
        assert _BERLIN.from_field(text) == text


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Olympus", "../../etc/passwd", "/etc", "a\0b"])
def test_a_zone_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no such time zone"):
        zone_of(name)


@pytest.mark.parametrize("days", [1 / 24, 1, 7, 30, 90, 180, 4000])
def test_a_range_has_a_readable_number_of_bars(days: float) -> None:
    span = timedelta(days=days)
    starts = list(grid(_NOW - span, _NOW, step_of(span)))
    assert 12 <= len(starts) <= 62
    assert starts[0] <= _NOW - span
    assert starts[-1] < _NOW <= starts[-1] + step_of(span)


def test_bars() -> None:
    step, since = timedelta(hours=1), _NOW - timedelta(hours=4)
    starts = list(grid(since, _NOW, step))
    buckets = [Bucket(starts[1], 1000, 1), Bucket(starts[0], 500, 0)]
    chart = chart_of(buckets, starts, step, since, View(), _UTC)
    assert [bar.height for bar in chart.bars] == [50, 100, 0, 0, 0]
    assert chart.bars[1].failed_height > 0.1  # one among thousands is seen
    assert (chart.count, chart.failures, chart.most) == (1500, 1, 1000)
    assert chart.bars[0].start == "2026-11-22T17:43:53.123Z"  # not from before the range
    assert "since=2026-11-22T18%3A00%3A00.000Z" in chart.bars[1].url
    assert chart.bars[1].label == "22 Nov, 18:00 to 22 Nov, 19:00: 1,000 events, 1 failed"
    assert chart.bars[-1].place_x + chart.bars[-1].place_width == pytest.approx(100)


def test_ranges() -> None:
    assert [choice.label for choice in choices(View())] == list(PRESETS.values())
    assert [choice.label for choice in choices(View()) if choice.is_current] == ["Last 30 days"]
    custom = View.of([("since", "2026-11-20"), ("until", "2026-11-21")])
    assert not any(choice.is_current for choice in choices(custom))
    wanted = wanted_of(custom, _PERSON, _NOW).filter
    assert range_label(custom, wanted, _UTC) == "20 Nov, 00:00 to 22 Nov, 00:00"
    assert range_label(View.of([("since", "all")]), None, _UTC) == "All time"


def test_a_chosen_value_is_shown_where_it_is_rare_too() -> None:
    view = View.of([("action", "Rare")])
    (facet,) = facets_of({"action": [FacetValue("Login", "", 7)]}, view)
    assert [(item.label, item.count, item.is_chosen) for item in facet.items] == [
        ("Rare", None, True), ("Login", 7, False)
    ]  # fmt: skip


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_json, st.booleans())
def test_laid_out_json_says_the_same(value: object, compact: bool) -> None:
    text = json.dumps(value, separators=(",", ":") if compact else None)
    assert json.loads(indented(text)) == value
    assert indented(indented(text)) == indented(text)


def test_laid_out_json_keeps_its_bytes() -> None:
    text = '{"a":1.10,"a":[],"b":{},"c":[12345678901234567890,"x: {\\"\\u00e9"]}'
    assert indented(text) == (
        '{\n  "a": 1.10,\n  "a": [],\n  "b": {},\n  "c": [\n    12345678901234567890,\n'
        '    "x: {\\"\\u00e9"\n  ]\n}'
    )


def test_no_file_but_those_of_the_screen_is_served() -> None:
    assert asset_url("screen.css").endswith("/screen.css")
    with pytest.raises(KeyError):
        asset_url("../routes.py")
