"""The spool: what an `AuditProducer` keeps on disk while Kafka can't take it."""

from auditbus.producers.spool.options import Spool

__all__ = ["Spool"]
