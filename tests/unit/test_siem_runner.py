"""Whatever ends a delivery is alarmed, and it begins again; nothing kills a destination unheard."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError
from prometheus_client import REGISTRY

from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem import runner
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.destination import Destination, DestinationKind, DestinationSettings
from auditbus.sinks.siem.in_flight import InFlight
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.runner import Runner
from auditbus.sinks.siem.standing import Standing, State
from tests.pipeline import wait_until


class _Delivery:
    """Ends as told, one way after the other; then runs until it is stopped."""

    def __init__(self, faults: Iterator[Any], standing: Standing) -> None:
        self._faults = faults
        self._standing = standing

    def run(self, stop: threading.Event) -> None:
        fault = next(self._faults, None)
        if fault is not None:
            raise fault
        self._standing.began()
        stop.wait()


@contextmanager
def _running(name: str, *faults: Any) -> Iterator[Standing]:
    kind = DestinationKind(DestinationSettings, lambda _: None, ordered=False)
    ready = threading.Event()
    ready.set()
    standing, left = Standing(name), iter(faults)
    started = Runner(
        Destination(name, kind, DestinationSettings(type="scripted")),
        lambda _destination, standing: _Delivery(left, standing),  # type: ignore[arg-type,return-value]
        standing,
        ready=ready,
    )
    try:
        yield standing
    finally:
        started.stop()
        started.join(5)
    assert not started.is_alive


def _alarm(sink: str, code: str) -> float | None:
    return REGISTRY.get_sample_value("audit_sink_alarm", {"sink": sink, "code": code})


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (KafkaUnreachable("gone"), "kafka"),
        (ZeroDivisionError("a bug"), "crashed"),
        (KafkaError(KafkaError._UNKNOWN_PARTITION), "crashed"),
        (SystemExit("a library's idea"), "crashed"),
    ],
    ids=["kafka", "bug", "raw_kafka_error", "exit"],
)
def test_whatever_ends_a_delivery_is_alarmed_and_it_begins_again(
    fault: Any, code: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A bare KafkaError, which is no exception at all, had ended the thread without a word."""
    monkeypatch.setattr(runner, "_RETRY_S", 0.2)
    name = f"fault-{request.node.callspec.id.replace('_', '-')}"
    with _running(name, fault) as standing:
        wait_until(lambda: standing.state is State.BLOCKED, deadline_s=5, what="the alarm")
        assert standing.trouble is not None
        assert standing.trouble.startswith(f"{code}: ")
        assert _alarm(name, code) == 1
        wait_until(lambda: standing.state is State.DELIVERING, deadline_s=5, what="a new beginning")
        assert standing.last_error is not None
        assert standing.last_error.code == code
        assert _alarm(name, code) == 0


class _BrokenSender:
    def send(self, _batch: Batch) -> None:
        raise SystemExit

    confirm = send


def test_a_sender_that_fails_ends_the_delivery_instead_of_holding_its_lane_for_ever() -> None:
    flying = InFlight(_BrokenSender(), "broken", 1, Budget(1_000))  # type: ignore[arg-type]
    lane = Lane("t", 0, 0, limits=Limits(1, 1, 0, False), backoff=Backoff(1.0, 1.0))
    record = Record(0, 0, 0, None, b"x", ())
    flying.send(lane, Batch("t", 0, (record,), 0, suspect=False, first=0), 1)
    with pytest.raises(RuntimeError, match="a sender failed: SystemExit"):
        flying.take(5.0)
    assert (flying.requests, flying.held_bytes) == (0, 0)
    flying.send(lane, Batch("t", 0, (record,), 0, suspect=False, first=0), 1)
    with pytest.raises(RuntimeError):  # the thread that ran the first lives
        flying.take(5.0)
    flying.close()
