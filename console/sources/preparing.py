"""From a record to the bytes of an event: parse, map, redact, encode, validate.

All of it that needs no Kafka and no order, so that other processes can do it (`pool.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from auditbus.console.sources import FORMATS
from auditbus.console.sources.mapping import Members
from auditbus.console.sources.records import Content, Unread, parsed, parsed_event
from auditbus.producers import Redactor
from auditbus.producers.assembly import Assembled, EventAssembler
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = ["Outcome", "Preparation", "Prepare", "Prepared", "Refused", "in_source"]


Prepared = tuple[Assembled, bool]
"""An event ready for the queue, and whether it has a `producer` of its own.

A plain tuple: it goes from process to process at half the cost.
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record is no event."""

    code: RejectCode
    reason: str


Outcome = Prepared | Refused
Prepare = Callable[[Content | Unread | Refused], Outcome]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to make of records. Plain values: it can be sent to another process.

    `format_name` is one of FORMATS, None for records that are events already; `account` is the
    person's word and wins; `operator_account` has the events that name none; `catalogue` is the
    operator's file.
    """

    format_name: str | None
    account: str | None = None
    operator_account: str = "system"
    catalogue: Path | None = None

    def begin(self) -> Prepare:
        """Build what it takes, which reads the catalogue, and return the function."""
        source = None if self.format_name is None else FORMATS[self.format_name]
        redactor = Redactor() if source is None else source.redactor()
        catalogue = Catalogue.load(self.catalogue)
        assemble = EventAssembler(self.operator_account, catalogue, redactor, from_json=True)
        map_record = None if source is None else source.map_record
        parse = parsed_event if source is None else parsed
        name, account = self.format_name, self.account

        def prepare(content: Content | Unread | Refused) -> Outcome:
            fields: dict[str, Any] = {}
            try:
                if isinstance(content, Refused):
                    return content
                record = parse(content) if isinstance(content, bytes) else content
                if isinstance(record, InvalidEvent):
                    raise record
                fields = record if map_record is None else map_record(record, account)
                stamped = fields.get("producer") is not None
                if not stamped:
                    fields.pop("producer", None)  # a null would stand beside the stamp
                return assemble(fields), stamped
            except InvalidEvent as error:
                return refused(error, fields, name)

        return prepare


def refused(error: InvalidEvent, fields: Members, format_name: str | None) -> Refused:
    """Return why a record is refused, in the source's words."""
    told = error if format_name is None else in_source(error, fields, format_name)
    return Refused(told.code, str(told))


def in_source(error: InvalidEvent, fields: Members, format_name: str) -> InvalidEvent:
    """Name the record's largest member where what has no place of its own is too large."""
    if error.field != "metadata":
        return error
    rest = fields.get("metadata", {}).get(format_name, {})
    sizes = {member: len(orjson.dumps(value)) for member, value in rest.items()}
    if not sizes:
        return error
    largest = max(sizes, key=lambda member: sizes[member])
    reason = f"{sizes[largest]:,} bytes, too large for metadata: {error.reason}"
    return InvalidEvent(error.code, largest[:100], reason)
