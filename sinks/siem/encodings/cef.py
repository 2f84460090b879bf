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
from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.encodings.classification import look_up
from auditbus.sinks.siem.encodings.event import Encoder, Event
from auditbus.sinks.siem.encodings.remainder import IN_LINES
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.text import (
    CONTROLS,
    NOBODY,
    NOWHERE,
    Line,
    cut,
    first_user,
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

__all__ = ["cef_encoder"]

_NAME_CHARS = 512
_STRING_CHARS = 1_023  # of most keys
_LONG_CHARS = 4_000  # of cs1 to cs6
# What stands before each text, in the order of `_texts`. A custom field brings its label.
_KEYS = (
    " suid=",
    " suser=",
    " auditbusActorType=",
    " auditbusActorEmail=",
    " auditbusCredential=",
    " flexString1Label=onBehalfOf flexString1=",
    " cs1Label=account cs1=",
    " auditbusAccountName=",
    " cs2Label=targets cs2=",
    " duid=",
    " duser=",
    " src=",
    " c6a2Label=Source IPv6 Address c6a2=",
    " auditbusClientAddress=",
    " auditbusForwardedFor=",
    " requestClientApplication=",
    " auditbusRequestId=",
    " auditbusSessionId=",
    " auditbusTraceId=",
    " reason=",
    " cs3Label=location cs3=",
    " cs4Label=device cs4=",
    " sourceServiceName=",
    " cs5Label=changes cs5=",
    " cs6Label=metadata cs6=",
    " auditbusOccurredAt=",
    " auditbusUnmapped=",
)
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
    limits={key: _LONG_CHARS for key in _KEYS if key.startswith((" cs", " auditbus"))},
)


def cef_encoder(catalogue: Catalogue) -> Encoder:
    """Return the function that makes an event one CEF line, without a line break."""

    @lru_cache(maxsize=4_096)
    def frame(action: str, category: str | None, operation: str | None) -> tuple[str, str, str]:
        """Return what stands before the name, the name where there is no other, what is behind."""
        kind = look_up(catalogue, action, category, operation)
        severity = SEVERITY_NUMBERS[kind.severity]
        return (
            f"CEF:0|auditbus|auditbus|{__version__}|{kind.action}|",
            _name(kind.description),
            f"|{severity}|cat={kind.category} act={kind.operation} ",
        )

    def encode(event: Event) -> bytes:
        view = read_view(event)
        before, name, after = frame(view.action, view.category, view.operation)
        if view.description:
            name = _name(view.description)
        times = f"end={epoch_ms(view)}"
        if (received := received_ms(view, event)) is not None:
            times = f"rt={received} {times}"
        # The last value's trailing spaces would be lost: an id has none.
        return (
            f"{before}{name}{after}{times} outcome={view.effective_outcome}"
            f"{_values.write(_KEYS, _texts(view, event.fields), event.value)} externalId={view.id}"
        ).encode()

    return encode


def _name(text: str) -> str:
    text = cut(text, _NAME_CHARS)
    if text.isprintable():  # no control character
        return text.replace("\\", r"\\").replace("|", r"\|")
    return text.translate(_IN_HEADER)


def _texts(view: View, fields: dict[str, Any]) -> tuple[object, ...]:
    """Return the text of every key, or nothing. One display: quicker than many appends."""
    actor, context = view.actor or NOBODY, view.context or NOWHERE
    credential, delegate = actor.credential, actor.on_behalf_of
    account, producer, error = view.account, view.producer, view.error
    place, device, targets = view.location, view.device, view.targets
    ip = address(context.ip)
    ip_is_v6 = ip is not None and ":" in ip  # `src` holds an IPv4 address only
    rest = IN_LINES.rest(view, fields)
    user = first_user(targets) if targets else None
    return (
        actor.id,
        actor.name or actor.email,
        view.actor and actor.type,
        actor.email,
        credential and party(credential.type, credential.id, None),
        delegate and party(delegate.type, delegate.id, delegate.name),
        account and account.id,
        account and account.name,
        targets and joined(targets),
        user and user.id,
        user and user.name,
        None if ip_is_v6 else ip,
        ip if ip_is_v6 else None,
        None if ip == context.ip else context.ip,
        context.forwarded_for and ", ".join(context.forwarded_for),
        context.user_agent,
        context.request_id,
        context.session_id,
        context.trace_id,
        error and ": ".join(filter(None, (error.code, error.message))),
        place and place.label,
        device and device.label,
        producer and producer.service,
        view.changes and to_json(fields["changes"]).decode(),
        view.metadata and to_json(view.metadata).decode(),
        finer_time(view),
        rest and to_json(rest).decode(),
    )
