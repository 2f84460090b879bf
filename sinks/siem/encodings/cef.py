r"""ArcSight Common Event Format, version 0: one line of UTF-8.

    CEF:0|auditbus|auditbus|VERSION|ACTION|DESCRIPTION|SEVERITY|key=value key=value ...

Source: ArcSight CEF Implementation Standard (OpenText). In the header `|` and `\` are escaped with
a backslash; in a value `=` and `\`, and line breaks are written `\n` and `\r`. A header field has
no line breaks: there they become spaces. No other control character can be carried: it becomes
U+FFFD. A value past the length that the dictionary gives its key is cut, with a mark.
What the dictionary has no key for stands in custom keys, which begin with `auditbus`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from auditbus import __version__
from auditbus.schemas.event import Actor, Context
from auditbus.sinks.siem.encodings.classification import Kind, kind_of
from auditbus.sinks.siem.encodings.event import Event
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

__all__ = ["encode_cef"]

_NAME_CHARS = 512
_STRING_CHARS = 1_023  # of most keys
_CUSTOM_CHARS = 4_000  # of cs1 to cs6, and of the keys that are ours
_LONG_CHARS = {"cs1", "cs2", "cs3", "cs4", "cs5", "cs6"}
_IN_HEADER = {
    **CONTROLS,
    **dict.fromkeys(map(ord, "\t\n\r"), " "),
    ord("|"): r"\|",
    ord("\\"): r"\\",
}
_IN_VALUE = {
    **CONTROLS,
    ord("\t"): " ",
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    ord("="): r"\=",
    ord("\\"): r"\\",
}
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


def encode_cef(event: Event) -> bytes:
    """Return one CEF line, without a line break. Raises Unencodable with the field to blame."""
    view = read_view(event)
    kind = kind_of(view)
    head, tail = _frame(kind)
    name = cut(view.description or kind.description, _NAME_CHARS).translate(_IN_HEADER)
    times = f"end={epoch_ms(view)}"
    if (received := received_ms(view, event)) is not None:
        times = f"rt={received} {times}"
    parts = [f"{head}{name}{tail}{times} outcome={view.effective_outcome}"]
    for key, text in _values(view, event.fields):
        if text:
            parts.append(f"{key}={_escaped(key, text)}")
    # The last value's trailing spaces would be lost: an id has none.
    parts.append(f"externalId={view.id}")
    return " ".join(parts).encode()


@lru_cache(maxsize=4_096)
def _frame(kind: Kind) -> tuple[str, str]:
    """Return what stands before and after the name; the words in it need no escape."""
    return (
        f"CEF:0|auditbus|auditbus|{__version__}|{kind.action}|",
        f"|{SEVERITY_NUMBERS[kind.severity]}|cat={kind.category} act={kind.operation} ",
    )


def _escaped(key: str, text: str) -> str:
    limit = _CUSTOM_CHARS if key in _LONG_CHARS or key.startswith("auditbus") else _STRING_CHARS
    if len(text) > limit:
        text = cut(text, limit)
    if text.isprintable():  # no control character: two searches are quicker than a translation
        return text.replace("\\", r"\\").replace("=", r"\=")
    return text.translate(_IN_VALUE)


def _values(view: View, fields: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    if actor := view.actor:
        yield from _actor(actor)
    if account := view.account:
        yield from (("cs1", account.id), ("cs1Label", "account"))
        yield "auditbusAccountName", account.name
    if targets := view.targets:
        yield from (("cs2", joined(targets)), ("cs2Label", "targets"))
        for target in targets:
            if target.type == "user":
                yield from (("duid", target.id), ("duser", target.name))
                break
    if context := view.context:
        yield from _context(context)
    if error := view.error:
        yield "reason", ": ".join(part for part in (error.code, error.message) if part)
    if (place := view.location) and place.label:
        yield from (("cs3", place.label), ("cs3Label", "location"))
    if (device := view.device) and device.label:
        yield from (("cs4", device.label), ("cs4Label", "device"))
    if view.producer:
        yield "sourceServiceName", view.producer.service
    if changes := fields.get("changes"):
        yield from (("cs5", to_json(changes).decode()), ("cs5Label", "changes"))
    if metadata := fields.get("metadata"):
        yield from (("cs6", to_json(metadata).decode()), ("cs6Label", "metadata"))
    if rest := remainder(fields, _MAPPED):
        yield "auditbusUnmapped", to_json(rest).decode()


def _actor(actor: Actor) -> Iterator[tuple[str, str | None]]:
    yield from (("suid", actor.id), ("suser", actor.name or actor.email))
    yield from (("auditbusActorType", actor.type), ("auditbusActorEmail", actor.email))
    if credential := actor.credential:
        yield "auditbusCredential", party(credential.type, credential.id, None)
    if delegate := actor.on_behalf_of:
        if text := party(delegate.type, delegate.id, delegate.name):
            yield from (("flexString1", text), ("flexString1Label", "onBehalfOf"))


def _context(context: Context) -> Iterator[tuple[str, str | None]]:
    if ip := address(context.ip):
        if ":" in ip:  # `src` holds an IPv4 address only
            yield from (("c6a2", ip), ("c6a2Label", "Source IPv6 Address"))
        else:
            yield "src", ip
    if ip != context.ip:
        yield "auditbusClientAddress", context.ip
    if context.forwarded_for:
        yield "auditbusForwardedFor", ", ".join(context.forwarded_for)
    yield "requestClientApplication", context.user_agent
    yield "auditbusRequestId", context.request_id
    yield "auditbusSessionId", context.session_id
    yield "auditbusTraceId", context.trace_id
