"""A log as it would be after some weeks of demo traffic, and one that means harm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from clickhouse_connect.driver.client import Client

from auditbus.deploy.local.demo.traffic import Traffic
from auditbus.schemas import Catalogue
from auditbus.schemas.ids import uuid7
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path
from auditbus.streams.enrichment.splice import Enricher
from tests.store import encode, enriched_event, rfc3339

# How busy each hour of the day is, in UTC.
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 13, 15, 15, 14, 12, 14, 15, 14, 12, 9, 6, 4, 3, 2, 2, 1)
DEMO_SEED = 7
TOPIC = "audit.events"
_CATALOGUE = Catalogue.builtin()
HOSTILE = (
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=document.title='owned'>",
    "{{ 7*7 }}${7*7}#{7*7}",
    "\u202egnp.exe\u200b\u2066 \u0627\u0644\u062d\u0633\u0627\u0628",
    "a\r\nSet-Cookie: owned=1",
    "'; DROP TABLE audit.events; --",
)


def demo_events(count: int, now: datetime, *, days: int = 30) -> list[bytes]:
    """Return `count` enriched events of the last `days`, oldest first, as the stream makes them."""
    random = Random(DEMO_SEED)
    locations = LocationLookup(default_city_path())
    enricher = Enricher(_CATALOGUE, locations, DeviceLookup(), operator_account="system")
    traffic = Traffic(DEMO_SEED)
    events = []
    for offset, moment in enumerate(_moments(random, count, now, days)):
        value = json.dumps(_raw(next(traffic), moment)).encode()
        epoch_ms = int(moment.timestamp() * 1000) + 40
        events.append(enricher.enrich(value, TOPIC, offset % 4, offset, epoch_ms).value)
    return events


def insert(client: Client, events: Sequence[bytes]) -> None:
    """Store enriched events as the sink does."""
    client.raw_insert("audit.ingest", insert_block=b"\n".join(events), fmt="JSONAsString")


def _raw(fields: Any, moment: datetime) -> dict[str, Any]:
    epoch_ms = int(moment.timestamp() * 1000)
    return {
        "id": uuid7(epoch_ms),
        "schema_version": 1,
        "occurred_at": rfc3339(moment),
        "description": _CATALOGUE.describe(fields["action"]).description,  # as the SDK does
        **fields,
    }


def _moments(random: Random, count: int, now: datetime, days: int) -> Iterator[datetime]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[datetime] = []
    while len(found) < count:
        day = midnight - timedelta(days=random.randrange(days + 1))
        if day.weekday() > 4 and random.random() < 0.7:
            continue
        (hour,) = random.choices(range(24), _HOURS)
        moment = day + timedelta(hours=hour, seconds=random.uniform(0, 3600))
        if now - timedelta(days=days) < moment < now:
            found.append(moment)
    return iter(sorted(found))


def own_events(now: datetime) -> list[bytes]:
    """Return events of two accounts of one organization: who does what is known to the tests."""
    found = []
    for n, (account, actor) in enumerate(
        [("own-account", "u-otto"), ("own-account", "u-mia"), ("sister-account", "u-mia")] * 2
    ):
        event = enriched_event(
            account,
            id=uuid7(),
            occurred_at=rfc3339(now - timedelta(days=20, minutes=n)),
            account={"id": account, "name": account.replace("-", " ").title()},
            actor={"type": "user", "id": actor, "name": actor.removeprefix("u-").title()},
            action="StorageUpdated",
            description=f"Moved storage number {n}",
            changes=[
                {"field": "region", "before": "eu-west-1", "after": "eu-central-1"},
                {"field": "secret", "before": None, "after": None, "redacted": True},
            ],
            metadata={"plan": "team", "seats": 12},
            origin={"topic": TOPIC, "partition": 5, "offset": n},
        )
        found.append(encode(event))
    return found


def hostile_events(now: datetime) -> list[bytes]:
    """Return events that carry each text of HOSTILE in every field that a text fits in."""
    found = []
    for n, text in enumerate(HOSTILE):
        named = {"type": "user", "id": text, "name": text, "email": text}
        event = enriched_event(
            "hostile",
            occurred_at=rfc3339(now - timedelta(minutes=n + 1)),
            account={"id": "hostile", "name": text},
            actor={**named, "on_behalf_of": named, "credential": {"type": text, "id": text}},
            targets=[{"type": text, "id": text, "name": text}],
            description=text,
            outcome="failure",
            error={"code": text, "message": text},
            context={"ip": text, "user_agent": text, "request_id": text},
            location={"country_code": "XX", "country": text, "label": text},
            device={"type": text, "label": text},
            changes=[{"field": text, "before": text, "after": text}],
            metadata={text[:40]: text, "deep": {"text": [text]}},
            category="storage",
            origin={"topic": TOPIC, "partition": 6, "offset": n},
        )
        found.append(encode(event))
    return found
