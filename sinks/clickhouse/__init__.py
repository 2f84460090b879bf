"""The ClickHouse sink: enriched events into audit.events, each seen once by readers.

    Kafka ─▶ consumer ─▶ sink (the loop: one batch is read while one is stored)
                           └▶ worker ─▶ delivery: insert, bisect, dead letters, retries
             ◀─ commit ─ after the batch is settled, for partitions still owned

It never looks into an event: ClickHouse parses each one once, in audit.ingest_to_events.
"""

from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.migrations import check_migrated, load_migrations, migrate
from auditbus.sinks.clickhouse.role import run

__all__ = ["check_migrated", "load_migrations", "migrate", "new_client", "run"]
