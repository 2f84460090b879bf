"""Every check, in the order in which a person would mend things."""

from __future__ import annotations

from collections.abc import Iterator

from auditbus.console.doctor.clickhouse import clickhouse_findings
from auditbus.console.doctor.finding import Finding
from auditbus.console.doctor.installation import (
    catalogue_findings,
    extra_findings,
    geoip_findings,
)
from auditbus.console.doctor.kafka import kafka_findings
from auditbus.runtime.settings import Settings

__all__ = ["examine"]


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what each check finds, as it finds it; raises nothing of auditbus's own."""
    yield from extra_findings()
    yield from catalogue_findings(settings)
    yield from geoip_findings(settings)
    yield from kafka_findings(settings.kafka)
    yield from clickhouse_findings(settings.clickhouse)
