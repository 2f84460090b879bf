"""The console's own events: what is done to the log is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auditbus.console.producing import check_topic, producer_of
from auditbus.producers import AuditProducer
from auditbus.runtime.settings import Settings
from auditbus.schemas.catalogue import Catalogue

__all__ = ["OWN_ACCOUNT", "own_producer"]

OWN_ACCOUNT = "auditbus"
"""The account of the console's own events."""
_DELIVERY_TIMEOUT_S = 30.0


@contextmanager
def own_producer(settings: Settings, client_id: str) -> Iterator[AuditProducer]:
    """Yield a producer whose events belong to OWN_ACCOUNT where they name no other.

    Asks for the topic first, as `check_topic` does, and raises what that raises.
    """
    check_topic(settings)
    with producer_of(
        settings,
        client_id,
        operator_account=OWN_ACCOUNT,
        catalogue=Catalogue.load(settings.catalogue),
        service="auditbus",
        delivery_timeout_s=_DELIVERY_TIMEOUT_S,
    ) as producer:
        yield producer
