"""Kafka: reachable, topics as they must be, consumers that keep up."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from auditbus.console.doctor.finding import Finding, Level
from auditbus.runtime.consumer_groups import GroupProgress, group_progress
from auditbus.runtime.errors import AuditbusError
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_admin import describe_topics, differences, specs_for

__all__ = ["kafka_findings"]

_TIMEOUT_S = 5.0
_BEHIND = 10_000
# Who reads, what runs it, and by which role's name people know it.
_ROLES = {"stream": "stream", "clickhouse-sink": "sink"}
_FORWARDER = "forwarder."


def kafka_findings(kafka: KafkaSettings) -> Iterator[Finding]:
    """Yield what there is to say about the brokers, the topics and the consumer groups."""
    admin = new_admin(kafka)
    try:
        cluster = admin.list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        yield Finding(
            Level.FAIL,
            "Kafka",
            f"{kafka.bootstrap_servers} does not answer: {error.args[0].str()}",
            "check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS, or start a local one: auditbus up",
            unreachable=True,
        )
        return
    yield Finding(Level.OK, "Kafka", f"{len(cluster.brokers)} broker(s), {kafka.bootstrap_servers}")
    try:
        yield from _topics(admin, kafka)
        yield from _groups(admin, kafka)
    except (AuditbusError, KafkaException) as error:
        yield Finding(
            Level.FAIL,
            "Kafka",
            f"gave no answer: {error}",
            "check the brokers, and what this user may do",
            unreachable=True,
        )


def _topics(admin: AdminClient, kafka: KafkaSettings) -> Iterator[Finding]:
    specs = specs_for(kafka)
    found = describe_topics(admin, [spec.name for spec in specs])
    for spec in specs:
        state = found.get(spec.name)
        subject = f"topic {spec.name}"
        wrong = differences(spec, state)
        for line in wrong:
            what, _, change = line.removeprefix(f"{spec.name}: ").partition("; run: ")
            yield Finding(
                Level.FAIL, subject, what, change or "change the topic, or AUDITBUS_KAFKA_* to it"
            )
        if state is not None and not wrong:
            timestamps = state.config.get("message.timestamp.type", "timestamps not told")
            yield Finding(Level.OK, subject, f"{state.partitions} partitions, {timestamps}")


def _groups(admin: AdminClient, kafka: KafkaSettings) -> Iterator[Finding]:
    listed = admin.list_consumer_groups(request_timeout=_TIMEOUT_S).result().valid
    known = {group.group_id for group in listed}
    prefix = kafka.group("")
    names = [
        *_ROLES,
        *sorted(
            group.removeprefix(prefix) for group in known if group.startswith(prefix + _FORWARDER)
        ),
    ]
    for name in names:
        role = _ROLES.get(name, "forwarder")
        group = kafka.group(name)
        if group not in known:
            yield Finding(
                Level.WARN, f"consumer group {group}", "has never read", f"start: auditbus {role}"
            )
        else:
            yield _group(admin, kafka, name, role)


def _group(admin: AdminClient, kafka: KafkaSettings, name: str, role: str) -> Finding:
    group = kafka.group(name)
    subject = f"consumer group {group}"
    described = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)
    state = described[group].result()
    lag = _lag(kafka, name, role)
    found = f"{len(state.members)} member(s), {lag:,} behind"
    if state.state == ConsumerGroupState.EMPTY or not state.members:
        return Finding(Level.WARN, subject, found, f"nobody reads; start: auditbus {role}")
    if lag > _BEHIND:
        return Finding(Level.WARN, subject, found, f"if it does not fall: one more auditbus {role}")
    return Finding(Level.OK, subject, found)


def _lag(kafka: KafkaSettings, name: str, role: str) -> int:
    """Count what `name` has not handled; a destination reads the raw topic or the enriched one."""
    events, enriched = kafka.topics.events, kafka.topics.enriched
    topics = {"stream": [events], "sink": [enriched]}.get(role, [events, enriched])
    parts = [part for topic in topics for part in _read_by(kafka, name, topic)]
    return sum(part.lag for part in parts)


def _read_by(kafka: KafkaSettings, name: str, topic: str) -> list[GroupProgress]:
    progress = group_progress(kafka, name, topic, timeout_s=_TIMEOUT_S)
    return progress if any(part.committed is not None for part in progress) else []
