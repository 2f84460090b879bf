"""What a client says of itself when its broker is down."""

from __future__ import annotations

from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from auditbus.runtime import kafka


def test_an_error_reported_again_and_again_is_logged_once_in_a_while(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(kafka.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(kafka, "_log", kafka.get_logger("test"))
    report = kafka._ErrorReporter()
    with capture_logs() as logs:
        for _ in range(50):
            report(KafkaError(KafkaError._TRANSPORT))
        report(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        now[0] += 10
        report(KafkaError(KafkaError._TRANSPORT))
    assert [(entry["event"], entry["unlogged"]) for entry in logs] == [
        ("kafka_client_error", 0),
        ("kafka_client_error", 0),
        ("kafka_client_error", 49),
    ]
