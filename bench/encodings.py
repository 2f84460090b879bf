"""What it costs to encode an event for a destination, in each form, and how large it comes out."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

from auditbus.deploy.local.demo import Traffic
from auditbus.producers.assembly import EventAssembler
from auditbus.schemas import Catalogue, format_epoch_ms
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, read_event
from auditbus.sinks.siem.records import Record
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path
from auditbus.streams.enrichment.splice import Enricher
from bench.report import Figure, Measured

T = TypeVar("T")
_EVENTS = 5_000
_ROUNDS = 9
_TARGET_BYTES = 1_200


def run() -> Measured:
    records = _records()
    events = [read_event(record) for record in records]
    encoders = {name: one.encoder(Catalogue.builtin()) for name, one in ENCODINGS.items()}
    figures: dict[str, Figure] = {
        "event_bytes_mean": statistics.mean(record.size for record in records),
        "read_event_us": _us(read_event, records),
    }
    for name, encode in encoders.items():
        figures[f"{name}_us"] = _us(encode, events)
    for name, encode in encoders.items():
        figures[f"{name}_with_reading_us"] = _us(_both(encode), records)
    for name, encode in encoders.items():
        figures[f"{name}_bytes_mean"] = statistics.mean(len(encode(event)) for event in events)
    return Measured(
        question="What does it cost to encode an event for a destination?",
        figures=figures,
        demands={f"{name}_us": "under 15" for name in ENCODINGS},
        notes=(
            f"{_EVENTS:,} events of the demo's traffic, through the stream's own enrichment;",
            f"metadata makes {_TARGET_BYTES:,} bytes of each. Every one has its own id and time.",
            f"Processor time of one thread for one event, median of {_ROUNDS} rounds.",
            "read_event_us: parsing, once an event, whoever looks into it.",
            "*_us: encoding an event that is parsed already.",
            "*_with_reading_us: parsing and encoding one event after the other, as the forwarder",
            "does.",
        ),
    )


def _both(encode: Encoder) -> Callable[[Record], bytes]:
    return lambda record: encode(read_event(record))


def _records() -> list[Record]:
    """Return enriched events as they lie in Kafka."""
    enricher = Enricher(
        Catalogue.builtin(),
        LocationLookup(default_city_path()),
        DeviceLookup(),
        operator_account="system",
    )
    now_ms = time.time_ns() // 1_000_000
    records = []
    assemble = EventAssembler("system", Catalogue.builtin())
    for offset, event in enumerate(islice(Traffic(), _EVENTS)):
        at_ms = now_ms + offset // 20  # the broker stamps a producer's batch, not each event
        event["occurred_at"] = format_epoch_ms(now_ms + offset)
        value = b""
        for _ in range(2):  # once to see what is missing
            raw, _, _ = assemble(event)
            value = enricher.enrich(raw, "audit.events", offset % 12, offset, at_ms).value
            event = _padded(event, _TARGET_BYTES - len(value))  # noqa: PLW2901  # the same, larger
        records.append(Record(offset, offset, at_ms, None, value, ()))
    return records


def _padded(event: dict[str, Any], missing_bytes: int) -> dict[str, Any]:
    if missing_bytes <= 0:
        return event
    text = "The quick brown fox jumps over the lazy dog. " * 30
    return event | {"metadata": {**(event.get("metadata") or {}), "note": text[:missing_bytes]}}


def _us(step: Callable[[T], object], items: Sequence[T]) -> float:
    """Return the mean microseconds of processor time of one call, the median of the rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        started_s = time.process_time()
        for item in items:
            step(item)
        rounds.append((time.process_time() - started_s) / len(items) * 1e6)
    return statistics.median(rounds)
