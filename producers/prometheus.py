"""A producer's metrics for Prometheus; needs prometheus_client, which the SDK does not bring.

from auditbus.producers.prometheus import register

register(audit)                      # or register(audit, registry=REGISTRY_OF_MINE)
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from auditbus.producers.producer import AuditProducer

__all__ = ["HELP_BY_NAME", "ProducerCollector", "register"]

HELP_BY_NAME = {
    "audit_producer_events_total": "Events by what became of them in this process: accepted, "
    "acknowledged, failed, dropped (from the spool). Alert on failed and dropped.",
    "audit_producer_waiting_events": "Events in memory, neither acknowledged nor spooled.",
    "audit_producer_spooled_events": "Events on disk that Kafka has not acknowledged.",
    "audit_producer_spooled_bytes": "Size of the spool's files.",
    "audit_producer_oldest_waiting_seconds": "Age of the oldest event that waits.",
}


class ProducerCollector(Collector):
    """Reads a producer's counts when it is scraped. One producer for each registry."""

    def __init__(self, producer: AuditProducer) -> None:
        """Hold `producer`, which is not closed with it."""
        self._producer = producer

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Name the metrics without reading any: registering opens nothing before a fork."""
        yield CounterMetricFamily(*self._named("audit_producer_events_total"))
        for name in list(HELP_BY_NAME)[1:]:
            yield GaugeMetricFamily(*self._named(name))

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metrics of now."""
        found = self._producer.metrics()
        events = CounterMetricFamily(
            *self._named("audit_producer_events_total"), labels=["outcome"]
        )
        for outcome in ("accepted", "acknowledged", "failed", "dropped"):
            events.add_metric([outcome], getattr(found, outcome))
        yield events
        values = {
            "audit_producer_waiting_events": found.waiting_events,
            "audit_producer_spooled_events": found.spooled_events,
            "audit_producer_spooled_bytes": found.spooled_bytes,
            "audit_producer_oldest_waiting_seconds": found.oldest_waiting_s,
        }
        for name, value in values.items():
            yield GaugeMetricFamily(*self._named(name), value=value)

    @staticmethod
    def _named(name: str) -> tuple[str, str]:
        return name, HELP_BY_NAME[name]


def register(producer: AuditProducer, registry: CollectorRegistry = REGISTRY) -> ProducerCollector:
    """Show `producer` in `registry`; returns the collector, which `unregister` wants."""
    collector = ProducerCollector(producer)
    registry.register(collector)
    return collector
