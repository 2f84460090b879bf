"""Apache Kafka itself on one machine: one KRaft node, its jars fetched by Maven into a cache."""

from auditbus.deploy.local.kafka.broker import KafkaBroker, kafka_answers
from auditbus.deploy.local.kafka.fetch import fetch_jars
from auditbus.deploy.local.kafka.java import find_java

__all__ = ["KafkaBroker", "fetch_jars", "find_java", "kafka_answers"]
