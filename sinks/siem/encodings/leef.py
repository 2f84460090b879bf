r"""IBM's Log Event Extended Format, version 2.0: one line of UTF-8.

    LEEF:2.0|auditbus|auditbus|VERSION|ACTION|x09|key=value<tab>key=value<tab>...

Source: IBM QRadar, "LEEF event components" and "Predefined LEEF event attributes". LEEF has no
escapes: in a value, tabs (the delimiter) and line breaks become spaces, and other control
characters U+FFFD. A value past the length that IBM gives its key is cut, with a mark. What has no
predefined key stands in custom keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from auditbus import __version__
from auditbus.schemas.errors import RejectCode
from auditbus.schemas.event import Actor, Context
from auditbus.sinks.siem.encodings.classification import Kind, kind_of
from auditbus.sinks.siem.encodings.event import Event, Unencodable
from auditbus.sinks.siem.encodings.remainder import WHOLE, Mapped, remainder
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.text import CONTROLS, cut, joined, party
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["encode_leef"]

_DELIMITER = "\t"
_NAME_CHARS = 255  # of usrName and accountName
_EPOCH_MS = range(10**12, 10**13)  # 13 digits, by which QRadar knows milliseconds
_IN_VALUE = {**CONTROLS, **dict.fromkeys(map(ord, "\t\n\r"), " ")}
_MAPPED: Mapped = {
    **dict.fromkeys(
        (
            *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
            *("received_at", "category", "operation", "targets", "changes", "metadata"),
        ),
        WHOLE,
    ),
    "account": frozenset({"id", "name"}),
    "actor": frozenset({"type", "id", "name", "email", "credential", "on_behalf_of"}),
    "error": frozenset({"code", "message"}),
    "context": frozenset(
        {"ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"}
    ),
    "location": frozenset({"label"}),
    "device": frozenset({"label"}),
    "producer": frozenset({"service"}),
}


def encode_leef(event: Event) -> bytes:
    """Return one LEEF line, without a line break. Raises Unencodable with the field to blame."""
    view = read_view(event)
    kind = kind_of(view)
    occurred = epoch_ms(view)
    if occurred not in _EPOCH_MS:
        raise Unencodable(
            RejectCode.INVALID_VALUE, "occurred_at: before 2001-09-09 or after 2286-11-20"
        )
    parts = [
        f"{_frame(kind)}devTime={occurred}",
        f"eventId={view.id}",
        f"outcome={view.effective_outcome}",
    ]
    if (received := received_ms(view, event)) is not None:
        parts.append(f"receivedTime={received}")
    for key, text in _values(view, kind, event.fields):
        if text:
            parts.append(f"{key}={text if text.isprintable() else text.translate(_IN_VALUE)}")
    return _DELIMITER.join(parts).encode()


@lru_cache(maxsize=4_096)
def _frame(kind: Kind) -> str:
    """Return the header and the constant attributes; no word of them has a pipe or a tab."""
    attributes = [f"cat={kind.category}", f"sev={SEVERITY_NUMBERS[kind.severity]}"]
    attributes.append(f"operation={kind.operation}")
    if kind.category == "authentication" and kind.operation in {"login", "logout"}:
        attributes.append(f"is{kind.operation.capitalize()}Event=true")
    header = f"LEEF:2.0|auditbus|auditbus|{__version__}|{kind.action}|x09|"
    return header + "".join(attribute + _DELIMITER for attribute in attributes)


def _values(view: View, kind: Kind, fields: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    yield "description", view.description or kind.description
    if actor := view.actor:
        yield from _actor(actor)
    if account := view.account:
        yield "accountName", cut(account.name or account.id, _NAME_CHARS)
        yield "accountId", account.id
    if view.targets:
        yield "resource", joined(view.targets)
    if context := view.context:
        yield from _context(context)
    if error := view.error:
        yield from (("errorCode", error.code), ("errorMessage", error.message))
    if view.location:
        yield "location", view.location.label
    if view.device:
        yield "device", view.device.label
    if view.producer:
        yield "service", view.producer.service
    for name in ("changes", "metadata"):
        if value := fields.get(name):
            yield name, to_json(value).decode()
    if rest := remainder(fields, _MAPPED):
        yield "unmapped", to_json(rest).decode()


def _actor(actor: Actor) -> Iterator[tuple[str, str | None]]:
    yield "usrName", cut(actor.name or actor.email or actor.id or "", _NAME_CHARS)
    yield from (("role", actor.type), ("actorId", actor.id), ("actorEmail", actor.email))
    if credential := actor.credential:
        yield "credential", party(credential.type, credential.id, None)
    if delegate := actor.on_behalf_of:
        yield "onBehalfOf", party(delegate.type, delegate.id, delegate.name)


def _context(context: Context) -> Iterator[tuple[str, str | None]]:
    ip = address(context.ip)
    yield "src", ip
    if ip != context.ip:
        yield "clientAddress", context.ip
    if context.forwarded_for:
        yield "forwardedFor", ", ".join(context.forwarded_for)
    yield "userAgent", context.user_agent
    yield "requestId", context.request_id
    yield "sessionId", context.session_id
    yield "traceId", context.trace_id
