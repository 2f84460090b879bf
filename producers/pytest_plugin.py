"""The pytest plugin: `audit_events`, a RecordingProducer for each test, with nothing bound.

pytest finds it by its entry point, and with it loads the SDK that the service imports anyway; the
rest is imported when a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from auditbus.producers.testing import RecordingProducer

__all__ = ["audit_events"]


@pytest.fixture
def audit_events() -> Iterator[RecordingProducer]:
    """Give a producer that keeps events in memory, to be handed to what is tested."""
    from auditbus.producers.context import bound
    from auditbus.producers.testing import RecordingProducer

    with bound(actor=None, account=None, context=None), RecordingProducer() as producer:
        yield producer
