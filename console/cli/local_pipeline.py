"""Find the pipeline: the settings given, else the one that runs on the data directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from auditbus.deploy.local.endpoints import Endpoints
from auditbus.deploy.local.errors import NotRunning
from auditbus.runtime.errors import Unreachable
from auditbus.runtime.settings import ClickHouseSettings, KafkaSettings, Settings, load_settings

__all__ = ["find_settings"]


def find_settings(data: Path | None, config: Path | None) -> Settings:
    """Return the settings; addresses that nobody gave come from DIR/endpoints.json.

    `data` is the directory that was asked for, None for the default. Raises SettingsError, and
    Unreachable where `data` was asked for and nothing runs there.
    """
    settings = load_settings(config_file=config)
    if data is not None:
        settings = settings.model_copy(update={"data_dir": data})
    kafka_given = "bootstrap_servers" in settings.kafka.model_fields_set
    clickhouse_given = "url" in settings.clickhouse.model_fields_set
    if kafka_given and clickhouse_given:
        return settings
    try:
        endpoints = Endpoints.read(settings.data_dir)
    except NotRunning as error:
        if data is not None:
            raise Unreachable(str(error)) from None
        return settings
    update: dict[str, KafkaSettings | ClickHouseSettings] = {}
    if not kafka_given:
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap_servers": endpoints.kafka})
    if not clickhouse_given:
        # The password is this store's alone: it never goes to an address that was given.
        update["clickhouse"] = settings.clickhouse.model_copy(
            update={
                "url": endpoints.clickhouse,
                "username": endpoints.username,
                "password": SecretStr(endpoints.store_password),
            }
        )
    return settings.model_copy(update=update)
