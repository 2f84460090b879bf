"""Topics on the cluster: create the missing, name what differs, refuse what endangers evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not declared so
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from auditbus.runtime.errors import KafkaUnreachable, TopicMisconfigured
from auditbus.runtime.settings import KafkaSettings
from auditbus.schemas.topics import TopicSpec, topic_specs

__all__ = [
    "TopicState",
    "check_timestamp_type",
    "create_topics",
    "describe_topics",
    "differences",
    "specs_for",
]

_TIMEOUT_S = 15.0
_TIMESTAMP_TYPE = "message.timestamp.type"


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is: `topic_id` is Kafka's UUID, new when a topic is made anew."""

    name: str
    topic_id: str
    partitions: int
    replication_factor: int
    config: dict[str, str]


def specs_for(kafka: KafkaSettings) -> tuple[TopicSpec, ...]:
    """Return how the topics of these settings must be."""
    return topic_specs(
        kafka.topics,
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        min_insync_replicas=kafka.min_insync_replicas,
    )


def describe_topics(admin: AdminClient, names: Sequence[str]) -> dict[str, TopicState]:
    """Return the topics that exist, by name. Raises KafkaUnreachable."""
    existing = _existing(admin, names)
    if not existing:
        return {}
    configs = _configs(admin, list(existing))
    return {name: TopicState(name, *found, configs[name]) for name, found in existing.items()}


def create_topics(admin: AdminClient, specs: Iterable[TopicSpec]) -> list[str]:
    """Create the missing topics and return their names.

    An existing topic that differs is not touched: TopicMisconfigured lists every difference, as a
    silent change of partitions would move accounts, and one of retention would delete events.
    """
    specs = list(specs)
    before = describe_topics(admin, [spec.name for spec in specs])
    problems = [
        line
        for spec in specs
        for line in differences(spec, before.get(spec.name))
        if spec.name in before
    ]
    if problems:
        raise TopicMisconfigured(
            "not changed, as these topics exist and differ:\n" + "\n".join(problems)
        )
    missing = [spec for spec in specs if spec.name not in before]
    if missing:
        _create(admin, missing)
    return [spec.name for spec in missing]


def differences(spec: TopicSpec, state: TopicState | None) -> list[str]:
    """Say in sentences how a topic differs from its specification; empty when it does not.

    More partitions or replicas than specified are fine: an operator may have grown the topic.
    """
    if state is None:
        return [f"{spec.name}: missing; run: auditbus topics create"]
    found = []
    if state.partitions < spec.partitions:
        found.append(f"{spec.name}: {state.partitions} partitions, should have {spec.partitions}")
    if state.replication_factor < spec.replication_factor:
        found.append(
            f"{spec.name}: replication factor {state.replication_factor}, "
            f"should be {spec.replication_factor}"
        )
    found.extend(
        f"{spec.name}: {key} is {state.config.get(key)}, should be {value}; run: "
        f"kafka-configs --alter --topic {spec.name} --add-config {key}={value}"
        for key, value in spec.config.items()
        if state.config.get(key) != value
    )
    return found


def check_timestamp_type(admin: AdminClient, kafka: KafkaSettings) -> None:
    """Refuse a raw topic whose timestamps producers may choose: retention stands on them.

    Raises TopicMisconfigured when the topic is missing or not LogAppendTime, unless
    `kafka.require_log_append_time` is false.
    """
    spec = next(spec for spec in specs_for(kafka) if spec.name == kafka.topics.events)
    state = describe_topics(admin, [spec.name]).get(spec.name)
    if state is None:
        raise TopicMisconfigured(f"{spec.name}: missing; run: auditbus topics create")
    found = state.config.get(_TIMESTAMP_TYPE)
    if kafka.require_log_append_time and found != spec.config[_TIMESTAMP_TYPE]:
        raise TopicMisconfigured(
            f"{spec.name}: {_TIMESTAMP_TYPE} is {found}, must be LogAppendTime, or a client could "
            "choose when its events expire; run: kafka-configs --alter "
            f"--topic {spec.name} --add-config {_TIMESTAMP_TYPE}=LogAppendTime"
        )


def _existing(admin: AdminClient, wanted: Sequence[str]) -> dict[str, tuple[str, int, int]]:
    try:
        listed = admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise _unreachable(error) from error
    # Only these: a cluster may hold thousands of others.
    names = [name for name in wanted if name in listed]
    if not names:
        return {}
    from confluent_kafka import TopicCollection

    described = admin.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S)
    found = {}
    for name, future in described.items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue  # deleted since it was listed
            raise _unreachable(error) from error
        replicas = min((len(p.replicas) for p in topic.partitions), default=0)
        found[name] = (str(topic.topic_id), len(topic.partitions), replicas)
    return found


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            entries = future.result()
        except KafkaException as error:
            raise _unreachable(error) from error
        found[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
    return found


def _create(admin: AdminClient, specs: Sequence[TopicSpec]) -> None:
    new = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=spec.replication_factor,
            config=spec.config,
        )
        for spec in specs
    ]
    for name, future in admin.create_topics(new, operation_timeout=_TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicMisconfigured(f"{name}: not created: {error.args[0].str()}") from error


def _unreachable(error: KafkaException) -> KafkaUnreachable:
    return KafkaUnreachable(
        f"Kafka does not answer: {error.args[0].str()}; check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS"
    )
