r"""IBM's Log Event Extended Format, version 2.0: one line of UTF-8.

    LEEF:2.0|auditbus|auditbus|VERSION|ACTION|x09|key=value<tab>key=value<tab>...

Source: IBM QRadar, "LEEF event components" and "Predefined LEEF event attributes". LEEF has no
escapes: in a value, tabs (the delimiter) and line breaks become spaces, and other control
characters U+FFFD. A value past the length that IBM gives its key is cut, with a mark. What has no
predefined key stands in custom keys.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from auditbus import __version__
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.errors import RejectCode
from auditbus.sinks.siem.encodings.classification import Kind, look_up
from auditbus.sinks.siem.encodings.event import Encoder, Event, Unencodable
from auditbus.sinks.siem.encodings.remainder import IN_LINES
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.text import (
    CONTROLS,
    NOBODY,
    NOWHERE,
    Line,
    cut,
    joined,
    party,
)
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    finer_time,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["leef_encoder"]

_DELIMITER = "\t"
# What stands before each text, in the order of `_texts`.
_KEYS = tuple(
    f"{_DELIMITER}{key}="
    for key in (
        *("description", "usrName", "role", "actorId", "actorEmail", "credential", "onBehalfOf"),
        *("accountName", "accountId", "resource", "src", "clientAddress", "forwardedFor"),
        *("userAgent", "requestId", "sessionId", "traceId", "errorCode", "errorMessage"),
        *("location", "device", "service", "changes", "metadata", "occurredAt"),
        "unmapped",
    )
)
_NAME_CHARS = 255  # of usrName and accountName
_EPOCH_MS = range(10**12, 10**13)  # 13 digits, by which QRadar knows milliseconds
_ESCAPES = {**CONTROLS, **dict.fromkeys(map(ord, "\t\n\r"), " ")}
_values = Line(_ESCAPES)


def leef_encoder(catalogue: Catalogue) -> Encoder:
    """Return the function that makes an event one LEEF line, without a line break."""

    @lru_cache(maxsize=4_096)
    def frame(action: str, category: str | None, operation: str | None) -> tuple[str, str]:
        """Return header and constant attributes, and the description where there is no other."""
        kind = look_up(catalogue, action, category, operation)
        description = kind.description.translate(_ESCAPES)  # the catalogue's: not in the event
        return _frame(kind), f"{_DELIMITER}description={description}"

    def encode(event: Event) -> bytes:
        view = read_view(event)
        head, description = frame(view.action, view.category, view.operation)
        occurred = epoch_ms(view)
        if occurred not in _EPOCH_MS:
            raise Unencodable(
                RejectCode.INVALID_VALUE, "occurred_at: before 2001-09-09 or after 2286-11-20"
            )
        times = f"devTime={occurred}"
        if (received := received_ms(view, event)) is not None:
            times = f"{times}\treceivedTime={received}"
        return (
            f"{head}{times}\teventId={view.id}\toutcome={view.effective_outcome}"
            f"{'' if view.description else description}"
            f"{_values.write(_KEYS, _texts(view, event.fields), event.value)}"
        ).encode()

    return encode


def _frame(kind: Kind) -> str:
    """Return the header and the constant attributes; no word of them has a pipe or a tab."""
    attributes = [f"cat={kind.category}", f"sev={SEVERITY_NUMBERS[kind.severity]}"]
    attributes.append(f"operation={kind.operation}")
    if kind.category == "authentication" and kind.operation in {"login", "logout"}:
        attributes.append(f"is{kind.operation.capitalize()}Event=true")
    header = f"LEEF:2.0|auditbus|auditbus|{__version__}|{kind.action}|x09|"
    return header + "".join(attribute + _DELIMITER for attribute in attributes)


def _texts(view: View, fields: dict[str, Any]) -> tuple[object, ...]:
    """Return the text of every key, or nothing. One display: quicker than many appends."""
    actor, context = view.actor or NOBODY, view.context or NOWHERE
    credential, delegate = actor.credential, actor.on_behalf_of
    account, producer, error = view.account, view.producer, view.error
    place, device, targets = view.location, view.device, view.targets
    ip = address(context.ip)
    rest = IN_LINES.rest(view, fields)
    return (
        view.description,
        cut(actor.name or actor.email or actor.id or "", _NAME_CHARS),
        view.actor and actor.type,
        actor.id,
        actor.email,
        credential and party(credential.type, credential.id, None),
        delegate and party(delegate.type, delegate.id, delegate.name),
        account and cut(account.name or account.id, _NAME_CHARS),
        account and account.id,
        targets and joined(targets),
        ip,
        None if ip == context.ip else context.ip,
        context.forwarded_for and ", ".join(context.forwarded_for),
        context.user_agent,
        context.request_id,
        context.session_id,
        context.trace_id,
        error and error.code,
        error and error.message,
        place and place.label,
        device and device.label,
        producer and producer.service,
        view.changes and to_json(fields["changes"]).decode(),
        view.metadata and to_json(view.metadata).decode(),
        finer_time(view),
        rest and to_json(rest).decode(),
    )
