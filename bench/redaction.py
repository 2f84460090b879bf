"""What context and redaction add to `emit()`: most events hold nothing to redact, some do."""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson

from auditbus.producers import Redactor, bound
from auditbus.producers.assembly import EventAssembler
from auditbus.producers.context import add_bound
from auditbus.schemas import Catalogue
from auditbus.schemas.validation import strict_view
from bench.emit import EVENT as _EVENT
from bench.report import Measured

_ROUNDS, _CALLS = 15, 2_000
_NOW_MS = time.time_ns() // 1_000_000
_BOUND: dict[str, Any] = {name: _EVENT[name] for name in ("actor", "account", "context")}
_SAID = {name: value for name, value in _EVENT.items() if name not in _BOUND}
_SECRETS = {
    "metadata": {
        **_EVENT["metadata"],
        "password": "hunter2",
        "url": "https://ann:hunter2@example.com/?access_token=abc",
        "header": "Authorization: Bearer 0123456789abcdef",
    }
}
_HOSTILE_BYTES = 64 * 1024
_HOSTILE = ("password=", "://a:", ": ", "=", "-----BEGIN ", "4111 ", "eyJ.", "Bearer ")
_NOTES = (
    "Of the event of `emit` (591 bytes), in one thread, without Kafka.",
    "context_us: actor, account and context are bound and merged into the event.",
    "clean_us: the look that tells that the event holds no secret; most events pay this alone.",
    "clean_with_new_names_us: of an event with a field that the schema does not know.",
    "clean_with_new_texts_us: of one whose description was never seen before, and such a field.",
    "added_us: both. assemble_us: the whole way from fields to bytes, with both.",
    "secrets_us: redacting the event with four secrets in it, without encoding it again.",
    f"hostile_ms: the worst of {len(_HOSTILE)} texts of 64 KiB made to slow the patterns down.",
    f"Each figure is the median of {_ROUNDS} rounds of {_CALLS:,} calls.",
)


def run() -> Measured:
    redactor = Redactor()
    assemble = EventAssembler("system", Catalogue.builtin(), redactor)
    plain = EventAssembler("system", Catalogue.builtin(), Redactor.off())
    filled = orjson.loads(assemble({**_EVENT})[0])
    with_secrets = {**filled, **_SECRETS}
    with bound(**_BOUND):
        context_us = _call_us(lambda: add_bound({**_SAID})) - _call_us(lambda: {**_SAID})
        with_both_us = _call_us(lambda: assemble({**_SAID}))
    view = strict_view(filled, len(orjson.dumps(filled)), broker_time_ms=_NOW_MS, is_new=True)
    clean_us = _call_us(lambda: redactor.is_clean(filled, view))
    numbers = itertools.count()
    return Measured(
        question="How much do context and redaction add to emit()?",
        figures={
            "context_us": context_us,
            "clean_us": clean_us,
            "added_us": context_us + clean_us,
            "clean_with_new_names_us": _call_us(lambda: redactor.is_clean(filled | {"x": 1})),
            "clean_with_new_texts_us": _call_us(
                lambda: redactor.is_clean(
                    filled | {"x": 1, "description": f"Deleted storage number {next(numbers)}"}
                )
            ),
            "assemble_us": with_both_us,
            "assemble_without_us": _call_us(lambda: plain({**_EVENT})),
            "secrets_us": _call_us(lambda: redactor.redacted(with_secrets), calls=200),
            "hostile_ms": max(map(_hostile_ms, _HOSTILE)),
        },
        demands={"added_us": "about 4"},
        notes=_NOTES,
    )


def _call_us(call: Callable[[], object], calls: int = _CALLS) -> float:
    rounds = []
    for _ in range(_ROUNDS):
        start_ns = time.perf_counter_ns()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter_ns() - start_ns) / calls / 1000)
    return statistics.median(rounds)


def _hostile_ms(fragment: str) -> float:
    event = {"metadata": {"text": fragment * (_HOSTILE_BYTES // len(fragment))}}
    redactor = Redactor()
    return _call_us(lambda: redactor.redacted(event), calls=1) / 1000
