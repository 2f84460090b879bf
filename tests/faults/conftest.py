"""Fixtures of the SDK's fault tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.pipeline import environment_of, settings_with_topics


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory of a spool, not there yet."""
    return tmp_path / "spool"


@pytest.fixture
def settings(fresh_kafka: Kafka) -> Settings:
    """The broker of this test's own, with its topics."""
    return settings_with_topics(environment_of(fresh_kafka.bootstrap_servers, ""))
