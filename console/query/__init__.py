"""Reading the log: filters, the one predicate they become, pages newest first, the live tail."""

from auditbus.console.query.addresses import AddressRange, parse_addresses
from auditbus.console.query.connection import connected
from auditbus.console.query.errors import TailBroken
from auditbus.console.query.events import EventLog, EventRow
from auditbus.console.query.moments import parse_since, parse_until
from auditbus.console.query.predicate import EventFilter, Predicate, event_predicate
from auditbus.console.query.tail import Tail

__all__ = [
    "AddressRange",
    "EventFilter",
    "EventLog",
    "EventRow",
    "Predicate",
    "Tail",
    "TailBroken",
    "connected",
    "event_predicate",
    "parse_addresses",
    "parse_since",
    "parse_until",
]
