"""How the Faust app is set up: what it opens, what it makes, how it logs in to Kafka."""

from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr

from auditbus.runtime.errors import SettingsError
from auditbus.runtime.settings import KafkaSettings, Settings, StreamSettings
from auditbus.streams.app import _credentials, _faust_app


def test_fausts_web_view_is_off_and_no_topic_is_made_by_accident(tmp_path: Path) -> None:
    conf = _faust_app(Settings(data_dir=tmp_path)).conf
    assert conf.web_enabled is False
    assert conf.topic_allow_declare is False
    assert conf.topic_disable_leader is True
    assert conf.consumer_auto_offset_reset == "earliest"


def test_fausts_web_view_listens_where_the_health_page_does(tmp_path: Path) -> None:
    stream = StreamSettings(web_port=6067, health_host="127.0.0.1")
    conf = _faust_app(Settings(data_dir=tmp_path, stream=stream)).conf
    assert conf.web_enabled is True
    assert (conf.web_bind, conf.web_port) == ("127.0.0.1", 6067)


def test_a_data_directory_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    """It ended in a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"AUDITBUS_DATA_DIR: .*file/stream can't be made"):
        _faust_app(Settings(data_dir=tmp_path / "file"))


def test_the_group_and_the_topic_carry_the_prefix(tmp_path: Path) -> None:
    app = _faust_app(Settings(data_dir=tmp_path, kafka=KafkaSettings(topic_prefix="stage.")))
    assert app.conf.id == "stage.stream"
    assert app.batch_topics == {"stage.audit.events"}


def auth(**fields: Any) -> dict[str, Any]:
    """What aiokafka is told for these settings."""
    return dict(credentials_to_aiokafka_auth(_credentials(KafkaSettings(**fields))))


def test_plaintext_needs_no_credentials() -> None:
    assert auth() == {"security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_is_passed_to_aiokafka(protocol: str, mechanism: str) -> None:
    told = auth(
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username="audit",
        sasl_password=SecretStr("s3cret"),
    )
    assert told.pop("security_protocol") == protocol
    assert told.pop("sasl_mechanism") == mechanism
    assert (told.pop("ssl_context") is not None) == (protocol == "SASL_SSL")
    assert told == {"sasl_plain_username": "audit", "sasl_plain_password": "s3cret"}


def test_tls_checks_the_brokers_certificate() -> None:
    told = auth(security_protocol="SSL")
    assert told["security_protocol"] == "SSL"
    assert told["ssl_context"].check_hostname
