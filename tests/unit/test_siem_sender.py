"""One request: what is filtered, redacted and counted; late answers about some of a batch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.errors import DeliveryFailed
from auditbus.runtime.retry import Backoff
from auditbus.schemas import Catalogue
from auditbus.sinks.siem.circuit import Circuit, CircuitState
from auditbus.sinks.siem.destination import (
    Destination,
    DestinationKind,
    DestinationSettings,
    Parcel,
)
from auditbus.sinks.siem.encodings import Event
from auditbus.sinks.siem.outcomes import Accepted, Delivered, Failed, Outcome, Refusal, Rejected
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.sender import Sender, Unsent
from auditbus.sinks.siem.standing import Standing, State
from auditbus.sinks.siem.tally import Counts, Tally


@dataclass
class _Client:
    """Answers as told, and keeps what it got."""

    answer: Outcome = field(default_factory=Delivered)
    parcels: list[Sequence[bytes]] = field(default_factory=list)

    def deliver(self, parcel: Parcel) -> Outcome:
        self.parcels.append(parcel.events)
        return self.answer

    def probe(self) -> Outcome:
        return Delivered()

    def close(self) -> None: ...


@dataclass
class _Letters:
    """Stands for Kafka, which can't be told to refuse."""

    written: list[DeadLetter] = field(default_factory=list)
    is_down: bool = False

    def write(self, letter: DeadLetter) -> None:
        self.written.append(letter)

    def flush(self, _timeout_s: float) -> None:
        if self.is_down:
            raise DeliveryFailed("down")


def _sender(
    client: _Client,
    letters: _Letters,
    encoder: Callable[[Any, Catalogue], Any] | None = None,
    **fields: Any,
) -> tuple[Sender, Tally]:
    settings = DestinationSettings.model_validate({"type": "scripted", **fields})
    kind = DestinationKind(DestinationSettings, lambda _: client, ordered=False)
    if encoder is not None:
        kind = DestinationKind(DestinationSettings, lambda _: client, False, encoder)
    tally = Tally()
    return Sender(Destination("soc", kind, settings), client, letters, tally), tally  # type: ignore[arg-type]


def _batch(*events: dict[str, Any] | bytes) -> Batch:
    values = [event if isinstance(event, bytes) else orjson.dumps(event) for event in events]
    records = (Record(n, n, 0, None, value, ()) for n, value in enumerate(values))
    return Batch("topic", 0, tuple(records), attempts=0, suspect=False, first=0)


_FILTER = {"accounts": ["acme"]}
_MINE, _OTHERS = {"account": {"id": "acme"}}, {"account": {"id": "secret"}}


def _offsets(records: Sequence[Record]) -> list[int]:
    return [record.offset for record in records]


def test_what_is_filtered_is_settled_and_never_sent() -> None:
    client, letters = _Client(), _Letters()
    sender, tally = _sender(client, letters, filter=_FILTER)
    settlement = sender.send(_batch(_OTHERS, _MINE, b"{broken", _OTHERS))
    assert client.parcels == [[orjson.dumps(_MINE)]]
    assert _offsets(settlement.done) == [0, 1, 2, 3]
    assert [letter.value for letter in letters.written] == [b"{broken"]
    assert tally.counts == Counts(sent=1, acknowledged=1, refused=1, filtered=2)


def test_a_batch_with_nothing_for_the_destination_makes_no_request_and_no_success() -> None:
    client = _Client()
    sender, tally = _sender(client, _Letters(), filter=_FILTER)
    settlement = sender.send(_batch(_OTHERS, _OTHERS))
    assert (client.parcels, settlement.outcome, settlement.again) == ([], Unsent(), ())
    assert _offsets(settlement.done) == [0, 1]
    assert tally.counts == Counts(filtered=2)


def test_a_trial_without_a_request_leaves_the_circuit_to_be_tried() -> None:
    circuit = Circuit(Backoff(1.0, 60.0, lambda: 1.0), lambda _: None)
    circuit.open_for(0.0, 5.0)
    assert circuit.try_acquire(6.0)
    circuit.abstain()
    assert circuit.state is CircuitState.OPEN
    assert circuit.try_acquire(6.0)
    circuit.open_for(6.0, math.inf)
    assert not circuit.try_acquire(1e9)
    circuit.retry_now()
    assert circuit.try_acquire(7.0)


@pytest.mark.parametrize("answered_late", [False, True])
def test_answers_about_items_mean_those_that_were_sent(answered_late: bool) -> None:
    """Filtered and broken records stand between; items are numbered without them."""
    about = Delivered(refused={0: Refusal("bad", "bad")}, again=frozenset({2}))
    client, letters = _Client(about), _Letters()
    sender, tally = _sender(client, letters, filter=_FILTER)
    batch = _batch(_OTHERS, _MINE, b"{", _MINE, _OTHERS, _MINE)
    if not answered_late:
        settlement = sender.send(batch)
        assert _offsets(settlement.done) == [0, 1, 2, 3, 4]
        assert _offsets(settlement.again) == [5]
        assert [letter.origin.offset for letter in letters.written] == [2, 1]
        assert tally.counts == Counts(sent=3, acknowledged=1, retried=1, refused=2, filtered=2)
        return
    client.answer = Accepted(lambda: about, 0.0)
    waiting = sender.send(batch)
    assert _offsets(waiting.done) == [0, 2, 4]
    assert isinstance(waiting.outcome, Accepted)
    late = sender.confirm(waiting.batch, waiting.outcome)
    assert _offsets(late.again) == [1, 5]  # the refused is read again: its payload is gone
    assert 3 in _offsets(late.done)
    assert tally.counts == Counts(sent=3, acknowledged=1, retried=2, refused=1, filtered=2)


def test_an_acknowledgement_that_fails_sends_again_only_what_was_sent() -> None:
    client = _Client(Accepted(lambda: Failed("ack", "none"), 0.0))
    sender, _ = _sender(client, _Letters(), filter=_FILTER)
    waiting = sender.send(_batch(_OTHERS, _MINE))
    assert isinstance(waiting.outcome, Accepted)
    assert _offsets(sender.confirm(waiting.batch, waiting.outcome).again) == [1]


def test_what_is_redacted_goes_out_and_the_dead_letter_keeps_the_original() -> None:
    client, letters = _Client(), _Letters()
    sender, _ = _sender(client, letters, redact={"emails": "mask"})
    event = {"description": "by joe@example.org"}
    client.answer = Rejected("http_413", "too large", too_large=True)
    settlement = sender.send(_batch(event))
    assert client.parcels == [[b'{"description":"by [email]"}']]
    assert _offsets(settlement.done) == [0]
    (letter,) = letters.written
    assert letter.value == orjson.dumps(event)
    assert "joe" not in letter.reason + str(letter.extra)


def test_an_encoders_bug_costs_no_event() -> None:
    def broken(_settings: object, _: Catalogue) -> Callable[[Event], bytes]:
        def encode(event: Event) -> bytes:
            if event.fields.get("odd"):
                raise KeyError("joe@example.org")
            return event.value

        return encode

    client, letters = _Client(), _Letters()
    sender, _ = _sender(client, letters, broken)
    settlement = sender.send(_batch({"odd": 1}, {"odd": 0}))
    assert client.parcels == [[b'{"odd":0}']]
    assert _offsets(settlement.done) == [0, 1]
    assert (letters.written[0].code, letters.written[0].reason) == ("encoder_error", "KeyError")


def test_nothing_is_settled_while_a_dead_letter_cannot_be_written() -> None:
    client, letters = _Client(), _Letters(is_down=True)
    sender, tally = _sender(client, letters, filter=_FILTER)
    settlement = sender.send(_batch(_MINE, b"{", _OTHERS))
    assert (client.parcels, settlement.done) == ([], ())
    assert _offsets(settlement.again) == [0, 1, 2]
    assert tally.counts.filtered == tally.counts.refused == 0


def test_a_standing_says_what_a_destination_does() -> None:
    standing = Standing("standing-test")
    assert (standing.state, standing.last_success_ms) == (State.DELIVERING, None)
    standing.failed("http_503", "HTTP 503")
    assert standing.state is State.RETRYING
    standing.alarm("http_401", "not authorised")
    assert standing.state is State.BLOCKED
    standing.succeeded()
    assert (standing.state, standing.trouble) == (State.DELIVERING, None)
    assert standing.last_error is not None
    assert standing.last_error.code == "http_401"
    assert standing.last_success_ms is not None
    standing.interrupted("offset_lost", "gone")
    standing.reconfigured()
    assert standing.state is State.DELIVERING
    standing.retire()
