"""One event, whole, in the order in which people ask: who, what, when, from where, with what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from auditbus.console.query import EventRow
from auditbus.console.web.screen.clock import Clock
from auditbus.console.web.screen.pretty import indented
from auditbus.console.web.screen.view import FILTERS, View

__all__ = ["Change", "Detail", "Entry", "Section", "detail_of"]

_Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and what it says; `note` is beside it, smaller; `url` leads to more of the same."""

    name: str
    text: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Entries under a heading."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Change:
    """One field before and after; None where it was, or is, not there."""

    field: str
    before: str | None
    after: str | None
    is_redacted: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """What the panel shows of an event."""

    row: EventRow
    sections: list[Section]
    changes: list[Change]
    metadata: list[Entry]
    more: list[Entry]
    json: str


def detail_of(row: EventRow, view: View, clock: Clock) -> Detail:
    """Take the stored event apart; what it does not say is not shown."""
    event: _Event = orjson.loads(row.event)
    sections = [
        Section("Who", list(_who(event))),
        Section("What", list(_what(row, event))),
        Section("When", list(_when(row, clock))),
        Section("Where", list(_where(row, event))),
        Section("Device", list(_device(row, event))),
        Section("Technical", list(_technical(row, event))),
    ]
    return Detail(
        row,
        [section for section in sections if section.entries],
        [_change(change) for change in _list(event, "changes")],
        [Entry(str(name), _text(value)) for name, value in _object(event, "metadata").items()],
        list(_more(row, event, view)),
        indented(row.event.decode()),
    )


def _who(event: _Event) -> Iterator[Entry]:
    actor = _object(event, "actor")
    if name := actor.get("name") or actor.get("email") or actor.get("id"):
        yield Entry("User", str(name), str(actor.get("type") or ""))
    elif actor.get("type"):
        yield Entry("User", str(actor["type"]))
    if actor.get("email") and actor.get("name"):
        yield Entry("E-mail", str(actor["email"]))
    if actor.get("id"):
        yield Entry("User id", str(actor["id"]))
    if delegate := _object(actor, "on_behalf_of"):
        yield Entry("On behalf of", _named(delegate), _said(delegate, "id"))
    if credential := _object(actor, "credential"):
        yield Entry(
            "Signed in by", str(credential.get("type") or ""), str(credential.get("id") or "")
        )
    account = _object(event, "account")
    if account.get("id"):
        yield Entry("Account", _named(account), str(account["id"]) if account.get("name") else "")


def _what(row: EventRow, event: _Event) -> Iterator[Entry]:
    yield Entry("Action", row.action)
    if row.category:
        yield Entry("Category", row.category, row.operation)
    for target in _list(event, "targets"):
        yield Entry(
            str(target.get("type") or "target").capitalize(), _named(target), _id_of(target)
        )
    yield Entry("Outcome", row.outcome)
    if row.error_code:
        yield Entry("Error code", row.error_code)


def _when(row: EventRow, clock: Clock) -> Iterator[Entry]:
    yield Entry("Occurred", clock.full(row.time), clock.ago(row.time))
    delay_s = (row.received_at - row.time).total_seconds()
    late = f"{delay_s:.1f} s later" if delay_s >= 1 else ""
    yield Entry("Received", clock.full(row.received_at), late)


def _where(row: EventRow, event: _Event) -> Iterator[Entry]:
    if row.ip:
        yield Entry("IP", row.ip)
    if forwarded := _object(event, "context").get("forwarded_for"):
        yield Entry("Forwarded for", _text(forwarded))
    location = _object(event, "location")
    if row.location:
        yield Entry("Location", row.location, _said(location, "country_code"))
    degrees = [location.get(name) for name in ("latitude", "longitude")]
    if all(isinstance(value, int | float) for value in degrees):
        yield Entry("Coordinates", ", ".join(f"{value:.4f}" for value in degrees))
    if location.get("asn") or location.get("as_organization"):
        number = f"AS{location['asn']}" if location.get("asn") else ""
        yield Entry("Network", _said(location, "as_organization") or number, number)


def _device(row: EventRow, event: _Event) -> Iterator[Entry]:
    if row.device:
        kind = _object(event, "device").get("type")
        yield Entry("Device", row.device, str(kind or ""))
    if row.user_agent:
        yield Entry("User agent", row.user_agent)


def _technical(row: EventRow, event: _Event) -> Iterator[Entry]:
    yield Entry("Event id", str(row.id))
    context = _object(event, "context")
    for name, label in (
        ("request_id", "Request id"),
        ("session_id", "Session id"),
        ("trace_id", "Trace id"),
    ):
        if context.get(name):
            yield Entry(label, str(context[name]))
    if producer := _object(event, "producer"):
        yield Entry(
            "Service", str(producer.get("service") or ""), str(producer.get("version") or "")
        )


def _more(row: EventRow, event: _Event, view: View) -> Iterator[Entry]:
    kept = {name: view.one(name) for name in ("scope", "tz") if view.one(name)}

    def more(name: str, value: str) -> str:
        return View.of([*kept.items(), (name, value)]).url()

    if who := row.actor_id or row.actor_email or row.actor_name:
        yield Entry("user", row.user, url=more("user", who))
    if row.ip:
        yield Entry("IP", row.ip, url=more("ip", row.ip))
    for target in _list(event, "targets")[:3]:
        if id_ := target.get("id") or target.get("name"):
            name = "target" if "target" in FILTERS else "text"
            yield Entry(
                str(target.get("type") or "target"), _named(target), url=more(name, str(id_))
            )
    yield Entry("action", row.action, url=more("action", row.action))


def _change(change: _Event) -> Change:
    before, after = (
        None if change.get(name) is None else _text(change[name]) for name in ("before", "after")
    )
    return Change(str(change.get("field") or ""), before, after, bool(change.get("redacted")))


def _said(thing: _Event, name: str) -> str:
    return str(thing.get(name) or "")


def _named(thing: _Event) -> str:
    return str(thing.get("name") or thing.get("id") or thing.get("type") or "")


def _id_of(thing: _Event) -> str:
    id_ = _said(thing, "id")
    return "" if id_ == thing.get("name") else id_


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _object(event: _Event, name: str) -> _Event:
    found = event.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(event: _Event, name: str) -> Sequence[_Event]:
    found = event.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
