"""A dead letter gives back exactly what was in the record."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from auditbus.runtime.dead_letters import DeadLetter, Header, Origin

_names = st.sampled_from(["traceparent", "audit.code", "audit.reason", "audit.x", ""]) | st.text()
_headers = st.lists(st.tuples(_names, st.none() | st.binary(max_size=8)), max_size=6)


class Stored:
    """A record as a consumer gets it."""

    def __init__(self, letter: DeadLetter) -> None:
        self._letter = letter

    def headers(self) -> list[Header]:
        return self._letter.wire_headers()

    def value(self) -> bytes | None:
        return self._letter.value

    def key(self) -> bytes | None:
        return self._letter.key


def letter(headers: list[tuple[str, Any]]) -> DeadLetter:
    return DeadLetter(
        value=b"\xff",
        key=None,
        headers=tuple(headers),
        code="not_utf8",
        reason="not valid UTF-8 at byte 0",
        stage="stream",
        origin=Origin("audit.events", 3, 42, 1_700_000_000_000),
        extra=(("destination", "siem"),),
    )


@given(_headers)
def test_what_is_read_back_is_what_was_written_whatever_headers_a_client_sent(headers) -> None:
    """A client's own headers that begin with `audit.` were dropped once."""
    written = letter(headers)
    assert DeadLetter.from_message(cast("Message", Stored(written))) == written


def test_a_record_of_another_program_reads_as_unknown() -> None:
    class Foreign(Stored):
        def headers(self) -> list[Header]:
            return [("audit.note", b"by hand")]

    read = DeadLetter.from_message(cast("Message", Foreign(letter([]))))
    assert (read.code, read.stage, read.origin.topic) == ("unknown", "unknown", "unknown")
    assert read.headers == (("audit.note", b"by hand"),)
