"""One event as one RFC 5424 message.

    <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [audit@PEN action="…" id="…" …] MSG

PRI         facility 13 (log audit), severity as below
TIMESTAMP   the event's `occurred_at`, else the broker's time, else `-`
MSGID       the action: 32 characters of printable ASCII at most
MSG         the event in the destination's encoding

| The catalogue's severity | Syslog            | of a failure      |
| ------------------------ | ----------------- | ----------------- |
| informational            | 6 informational   | 5 notice          |
| low                      | 5 notice          | 4 warning         |
| medium                   | 4 warning         | 3 error           |
| high                     | 3 error           | 2 critical        |
| critical                 | 2 critical        | 2 critical        |

Nothing in an event can end a message or begin another: a message holds no line feed, carriage
return or NUL, whatever the framing. In structured data control characters become U+FFFD. Between
the tokens of JSON, where alone JSON can hold them, they become spaces, which changes nothing.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.timestamps import format_epoch_ms, parse_rfc3339
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, Event, fit
from auditbus.sinks.siem.encodings.severities import syslog_severity

__all__ = ["message_encoder"]

_LOG_AUDIT = 13
_MSGID_CHARACTERS = 32
_PARAM_CHARACTERS = 256
_LATEST_MICROSECOND = len("2026-11-22T10:00:00.123456Z")
_not_printable = re.compile(r"[^!-~]")
# RFC 5424, section 6.3.3; the C0 and C1 controls are this module's own rule.
_find_special = re.compile(r'["\\\]\x00-\x1f\x7f-\x9f]').search
_ESCAPES = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}"),
    **{ord(mark): f"\\{mark}" for mark in '"\\]'},
}
_JSON_BREAKS = (b"\n", b"\r", b"\t")
_JSON_SPACED = bytes.maketrans(b"\n\r\t", b"   ")
_TEXT_BREAKS = (b"\n", b"\r", b"\0")
_TEXT_SPACED = bytes.maketrans(b"\n\r\0", b"   ")


def message_encoder(settings: SyslogSettings, catalogue: Catalogue) -> Encoder:
    """Return the function that makes an event a message, without its frame.

    An event whose message would be over the cap is cut by `fit`; where no cut suffices, it raises
    Unencodable (`too_large`).
    """
    encoding = ENCODINGS[settings.encoding]
    encode_body = encoding.encoder(catalogue)
    breaks, spaced = (
        (_JSON_BREAKS, _JSON_SPACED) if encoding.is_json else (_TEXT_BREAKS, _TEXT_SPACED)
    )
    # RFC 5424, section 6.4, wants the mark before UTF-8 text; RFC 8259, section 8.1, forbids it
    # before JSON, and rsyslog leaves it in the message, where JSON parsers stumble over it.
    is_marked = settings.bom == "always" or (settings.bom == "auto" and not encoding.is_json)
    end = "] \N{BOM}" if is_marked else "] "
    sender = f"{_hostname(settings)} {settings.app_name} {os.getpid()}"
    sd_name = f"audit@{settings.enterprise_number}"
    cap = settings.max_message_bytes

    @lru_cache(maxsize=1024)
    def around(action: str, outcome: str) -> tuple[str, str]:
        """Return what the two decide: what stands before the timestamp, and after it."""
        severity = catalogue.describe(action).severity
        pri = _LOG_AUDIT * 8 + syslog_severity(severity, is_failure=outcome == "failure")
        msgid = _not_printable.sub("_", action[:_MSGID_CHARACTERS]) or "-"
        params = _param("action", action) + _param("outcome", outcome)
        return f"<{pri}>1 ", f" {sender} {msgid} [{sd_name}{params}"

    def encode(event: Event) -> bytes:
        fields = event.fields
        before, after = around(_text(fields.get("action")), _outcome(fields))
        params = (
            _param("id", fields.get("id"))
            + _param("account", _inner(fields, "account", "id"))
            + _param("actor", _inner(fields, "actor", "id"))
            + _param("ip", _inner(fields, "context", "ip"))
        )
        body = encode_body(event)
        for character in breaks:
            if character in body:
                body = body.translate(spaced)
                break
        if encoding.is_json:
            body = body.strip(b" ")
        return f"{before}{_timestamp(event)}{after}{params}{end}".encode() + body

    return lambda event: fit(event, encode, cap)


def _outcome(fields: Mapping[str, Any]) -> str:
    """Return the outcome; a missing one is a failure where there is an error, else a success."""
    return _text(fields.get("outcome")) or ("failure" if fields.get("error") else "success")


def _timestamp(event: Event) -> str:
    """Return TIMESTAMP: six decimals at most (section 6.2.3)."""
    text = event.fields.get("occurred_at")
    if type(text) is str:
        try:
            moment = parse_rfc3339(text)
        except ValueError:  # the raw topic may hold anything
            pass
        else:
            if len(text) <= _LATEST_MICROSECOND:
                return text
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return format_epoch_ms(event.timestamp_ms) if event.timestamp_ms >= 0 else "-"


def _param(name: str, value: object) -> str:
    """Return ` name="value"`, escaped, and cut where nobody can mean it; nothing if no text."""
    if type(value) is not str:
        return ""
    if len(value) > _PARAM_CHARACTERS:
        value = value[: _PARAM_CHARACTERS - 1] + "…"
    if _find_special(value):
        value = value.translate(_ESCAPES)
    return f' {name}="{value}"'


def _inner(fields: Mapping[str, Any], outer: str, name: str) -> object:
    found = fields.get(outer)
    return found.get(name) if isinstance(found, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _hostname(settings: SyslogSettings) -> str:
    name = settings.hostname or _not_printable.sub("_", socket.gethostname())[:255]
    return name or "-"
