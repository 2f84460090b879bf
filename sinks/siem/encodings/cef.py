r"""ArcSight Common Event Format, version 0: one line of UTF-8.

    CEF:0|auditbus|auditbus|VERSION|ACTION|DESCRIPTION|SEVERITY|key=value key=value ...

Source: ArcSight CEF Implementation Standard (OpenText). In the header `|` and `\` are escaped with
a backslash; in a value `=` and `\`, and line breaks are written `\n` and `\r`. A header field has
no line breaks: there they become spaces. No other control character can be carried: it becomes
U+FFFD. A value past the length that the dictionary gives its key is cut, with a mark.
What the dictionary has no key for stands in custom keys, which begin with `auditbus`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from auditbus import __version__
from auditbus.schemas.event import Actor, Context, Target
from auditbus.sinks.siem.encodings.classification import Kind, kind_of
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.remainder import Mapped
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.text import CONTROLS, Line, Pair, cut, joined, party
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
_LONG_CHARS = 4_000  # of cs1 to cs6
_ACCOUNT = " cs1Label=account cs1="
_TARGETS = " cs2Label=targets cs2="
_LOCATION = " cs3Label=location cs3="
_DEVICE = " cs4Label=device cs4="
_CHANGES = " cs5Label=changes cs5="
_METADATA = " cs6Label=metadata cs6="
_UNMAPPED = " auditbusUnmapped="
_ON_BEHALF_OF = " flexString1Label=onBehalfOf flexString1="
_IPV6 = " c6a2Label=Source IPv6 Address c6a2="
_IN_HEADER = {
    **CONTROLS,
    **dict.fromkeys(map(ord, "\t\n\r"), " "),
    ord("\\"): r"\\",
    ord("|"): r"\|",
}
_values = Line(
    {
        ord("\\"): r"\\",
        ord("="): r"\=",
        **CONTROLS,
        ord("\t"): " ",
        ord("\n"): r"\n",
        ord("\r"): r"\r",
    },
    max_chars=_STRING_CHARS,
    limits=dict.fromkeys(
        (_ACCOUNT, _TARGETS, _LOCATION, _DEVICE, _CHANGES, _METADATA, _UNMAPPED), _LONG_CHARS
    ),
)
_MAPPED = Mapped(
    whole=(
        *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
        *("received_at", "category", "operation", "targets", "changes", "metadata"),
    ),
    parts={
        "account": ("id", "name"),
        "actor": ("type", "id", "name", "email", "credential", "on_behalf_of"),
        "error": ("code", "message"),
        "context": ("ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"),
    },
    kept=("producer", "location", "device", "origin"),
)


def encode_cef(event: Event) -> bytes:
    """Return one CEF line, without a line break. Raises Unencodable with the field to blame."""
    view = read_view(event)
    kind = kind_of(view)
    before, after = _frame(kind)
    name = cut(view.description or kind.description, _NAME_CHARS)
    if name.isprintable():  # no control character
        name = name.replace("\\", r"\\").replace("|", r"\|")
    else:
        name = name.translate(_IN_HEADER)
    times = f"end={epoch_ms(view)}"
    if (received := received_ms(view, event)) is not None:
        times = f"rt={received} {times}"
    # The last value's trailing spaces would be lost: an id has none.
    return (
        f"{before}{name}{after}{times} outcome={view.effective_outcome}"
        f"{_values.write(_pairs(view, event.fields))} externalId={view.id}"
    ).encode()


@lru_cache(maxsize=4_096)
def _frame(kind: Kind) -> tuple[str, str]:
    """Return what stands before and after the name; no word of it needs an escape."""
    return (
        f"CEF:0|auditbus|auditbus|{__version__}|{kind.action}|",
        f"|{SEVERITY_NUMBERS[kind.severity]}|cat={kind.category} act={kind.operation} ",
    )


def _pairs(view: View, fields: dict[str, Any]) -> list[Pair]:
    pairs: list[Pair] = []
    if view.actor:
        _add_actor(pairs, view.actor)
    if account := view.account:
        pairs += ((_ACCOUNT, account.id), (" auditbusAccountName=", account.name))
    if view.targets:
        _add_targets(pairs, view.targets)
    if view.context:
        _add_context(pairs, view.context)
    if error := view.error:
        pairs.append((" reason=", ": ".join(part for part in (error.code, error.message) if part)))
    if view.location:
        pairs.append((_LOCATION, view.location.label))
    if view.device:
        pairs.append((_DEVICE, view.device.label))
    if view.producer:
        pairs.append((" sourceServiceName=", view.producer.service))
    _add_anything(pairs, view, fields)
    return pairs


def _add_actor(pairs: list[Pair], actor: Actor) -> None:
    pairs += (
        (" suid=", actor.id),
        (" suser=", actor.name or actor.email),
        (" auditbusActorType=", actor.type),
        (" auditbusActorEmail=", actor.email),
    )
    if credential := actor.credential:
        pairs.append((" auditbusCredential=", party(credential.type, credential.id, None)))
    if delegate := actor.on_behalf_of:
        pairs.append((_ON_BEHALF_OF, party(delegate.type, delegate.id, delegate.name)))


def _add_targets(pairs: list[Pair], targets: list[Target]) -> None:
    pairs.append((_TARGETS, joined(targets)))
    for target in targets:
        if target.type == "user":
            pairs += ((" duid=", target.id), (" duser=", target.name))
            break


def _add_context(pairs: list[Pair], context: Context) -> None:
    if ip := address(context.ip):
        if ":" in ip:  # `src` holds an IPv4 address only
            pairs.append((_IPV6, ip))
        else:
            pairs.append((" src=", ip))
    if ip != context.ip:
        pairs.append((" auditbusClientAddress=", context.ip))
    if context.forwarded_for:
        pairs.append((" auditbusForwardedFor=", ", ".join(context.forwarded_for)))
    pairs += (
        (" requestClientApplication=", context.user_agent),
        (" auditbusRequestId=", context.request_id),
        (" auditbusSessionId=", context.session_id),
        (" auditbusTraceId=", context.trace_id),
    )


def _add_anything(pairs: list[Pair], view: View, fields: dict[str, Any]) -> None:
    """Add what may have any shape, as JSON."""
    if view.changes:
        pairs.append((_CHANGES, to_json(fields["changes"]).decode()))
    if view.metadata:
        pairs.append((_METADATA, to_json(view.metadata).decode()))
    if rest := _MAPPED.rest(view, fields):
        pairs.append((_UNMAPPED, to_json(rest).decode()))
