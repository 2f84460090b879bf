"""Settings that librdkafka can't work with are named, not answered with a traceback."""

from __future__ import annotations

from typing import Any

import pytest

from auditbus.runtime.errors import SettingsError
from auditbus.runtime.kafka import new_admin, new_consumer, new_producer
from auditbus.runtime.settings import KafkaSettings


@pytest.mark.parametrize(
    "make", [new_admin, new_producer, lambda kafka: new_consumer(kafka, "group")]
)
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"security_protocol": "SSL", "ssl_ca_location": "/missing/ca.pem"}, "ssl.ca.location"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "SASL mechanism"),
    ],
)
def test_a_wrong_kafka_setting_is_refused_by_its_name(
    make: Any, wrong: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        make(KafkaSettings.model_validate(wrong))
