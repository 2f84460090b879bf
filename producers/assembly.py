"""From the fields a service gives to the bytes of an event: fill, redact, encode, validate."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from auditbus.producers.context import add_bound
from auditbus.producers.encoding import encode, encode_parsed
from auditbus.producers.raw_screening import Suspicion
from auditbus.producers.redaction import Redactor
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import MAX_EVENT_BYTES, SCHEMA_VERSION, AuditEvent
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.schemas.validation import strict_view, validate, validate_fields

__all__ = ["Assembled", "EventAssembler", "too_large"]

Assembled = tuple[bytes, bytes, str]
"""An event's value, key and id."""

_CREDENTIAL, _NO_NAME = b'"credential":', b'"":'


class EventAssembler:
    """Makes events whole. Safe between threads."""

    def __init__(
        self,
        operator_account: str,
        catalogue: Catalogue,
        redactor: Redactor | None = None,
        *,
        from_json: bool = False,
    ) -> None:
        """`operator_account` is the account id of events that name none.

        `redactor` takes the secrets out (default: the built-in rules). `from_json` tells that all
        fields are what a parser of JSON gave: no NaN is looked for behind each null, and secrets
        are looked for in the event's bytes, all at once.
        """
        self._operator_account = operator_account
        self._redactor = redactor or Redactor()
        self._encode = encode_parsed if from_json else encode
        self._screen = self._redactor.raw_screen() if from_json else None
        actions = catalogue.values()
        self._descriptions = {item.name: item.description for item in actions if item.description}

    def __call__(self, fields: dict[str, Any]) -> Assembled:
        """Return value, key and id of the event; fills `fields` in place. Raises InvalidEvent."""
        add_bound(fields)
        now_ms = time.time_ns() // 1_000_000
        is_new = self._fill(fields, now_ms)
        raw, is_plain = self._encode(fields)
        valid: AuditEvent | None = None
        if is_plain:
            valid = strict_view(fields, len(raw), broker_time_ms=now_ms, is_new=is_new)
        if len(raw) <= MAX_EVENT_BYTES and not self._is_clean(fields, valid, raw):
            fields, valid = self._redactor.redacted(fields), None
            raw, is_plain = self._encode(fields)
        if len(raw) > MAX_EVENT_BYTES:
            raise too_large(fields, len(raw))
        if valid is None:
            valid = _validated(fields, raw, now_ms, is_plain=is_plain)
        account = valid.account.id if valid.account else self._operator_account
        return raw, account.encode(), valid.id

    def _is_clean(self, fields: dict[str, Any], valid: AuditEvent | None, raw: bytes) -> bool:
        if self._screen is not None:
            actor = fields.get("actor")
            if type(actor) is dict and "credential" in actor and raw.count(_CREDENTIAL) == 1:
                raw = raw.replace(_CREDENTIAL, _NO_NAME)  # the schema's own name, and no secret's
            suspicion = self._screen(raw)
            if suspicion is Suspicion.NONE:
                return True
            if suspicion is Suspicion.NAMES and self._redactor.names_are_clean(fields):
                return True
        return self._redactor.is_clean(fields, valid)

    def _fill(self, fields: dict[str, Any], now_ms: int) -> bool:
        """Put in what is absent; tell whether id and time are among it."""
        is_new = True
        if fields.get("id") is None:
            fields["id"] = uuid7(now_ms)
        else:
            is_new = False
        if fields.get("schema_version") is None:
            fields["schema_version"] = SCHEMA_VERSION
        if (occurred_at := fields.get("occurred_at")) is None:
            fields["occurred_at"] = format_epoch_ms(now_ms)
        else:
            is_new = False
            if isinstance(occurred_at, datetime):
                fields["occurred_at"] = _utc_text(occurred_at)
        if fields.get("account") is None:
            fields["account"] = {"id": self._operator_account}
        if fields.get("description") is None:
            action = fields.get("action")
            description = self._descriptions.get(action) if isinstance(action, str) else None
            if description is not None:
                fields["description"] = description
        return is_new


def too_large(fields: dict[str, Any], size_bytes: int) -> InvalidEvent:
    """Name the largest field: it is the one to cut."""
    sizes = {name: len(encode({name: value})[0]) for name, value in fields.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    reason = (
        f"the event has {size_bytes:,} bytes, {sizes[largest]:,} of them here; "
        f"the limit is {MAX_EVENT_BYTES:,}"
    )
    return InvalidEvent(RejectCode.TOO_LARGE, largest, reason)


def _validated(fields: dict[str, Any], raw: bytes, now_ms: int, *, is_plain: bool) -> AuditEvent:
    """Judge the event without parsing again what was encoded a moment ago, where that will do.

    A datetime or an Enum looks wrong there and is right as JSON; a structure the other way round:
    only the bytes tell. `now_ms` stands for the broker's time: the stream refuses ten years off it.
    """
    if is_plain:
        with suppress(InvalidEvent):
            return validate_fields(fields, len(raw), broker_time_ms=now_ms)
    return validate(raw, broker_time_ms=now_ms)


def _utc_text(moment: datetime) -> str:
    if moment.tzinfo is None:
        reason = "a datetime without a time zone could be any instant: make it aware"
        raise InvalidEvent(RejectCode.INVALID_VALUE, "occurred_at", reason)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
