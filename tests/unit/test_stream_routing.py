"""What the router does with a record before it looks into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from auditbus.runtime.dead_letters import DeadLetter
from auditbus.streams.enrichment.splice import Enriched
from auditbus.streams.routing import Router


@dataclass
class Record:
    offset: int
    timestamp_type: int = 1
    timestamp: int = 1_700_000_000_000
    key: bytes | None = None
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes | None], ...] = ()


class AnyEvent:
    """An enricher to which all is an event."""

    def enrich(self, value: bytes, *_: object) -> Enriched:
        return Enriched(b"account", value, is_signal=False)


@dataclass
class Published:
    """A publisher that keeps what it was given."""

    values: list[bytes] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)

    def publish(self, _key: bytes, value: bytes, _headers: object, **_: bool) -> None:
        self.values.append(value)

    def dead_letter(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    def serve_reports(self) -> None:
        """Nothing fails here."""


def route(*records: Record, require_log_append_time: bool = True) -> Published:
    published = Published()
    router = Router(
        AnyEvent(),  # type: ignore[arg-type]
        published,  # type: ignore[arg-type]
        max_enriched_bytes=1_000_000,
        require_log_append_time=require_log_append_time,
    )
    router.route("audit.events", 0, records)
    return published


def test_a_client_timestamp_among_others_is_not_believed() -> None:
    """Only the last record of a fetch was looked at, and one at the end stopped the worker."""
    published = route(Record(0), Record(1, timestamp_type=0, value=b"client"), Record(2))

    assert len(published.values) == 2
    (letter,) = published.letters
    assert (letter.code, letter.value) == ("untrusted_timestamp", b"client")


def test_client_timestamps_are_taken_where_the_settings_allow_them() -> None:
    assert route(Record(0, timestamp_type=0), require_log_append_time=False).values == [b"{}"]
