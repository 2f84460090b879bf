"""Settings: `AUDITBUS_*` variables over `auditbus.toml` over defaults; secrets also as `*_FILE`.

Built once at an entry point by `load_settings` and passed down; nothing reads the environment at
import. A wrong one is refused with its name. docs/configuration.md is generated from here.
"""

from auditbus.runtime.settings.console import (
    ConsoleSettings,
    OidcRule,
    OidcSettings,
    ScheduledExportSettings,
)
from auditbus.runtime.settings.loading import Settings, load_settings, variables
from auditbus.runtime.settings.pipeline import (
    ClickHouseSettings,
    ForwarderSettings,
    KafkaSettings,
    LogSettings,
    SinkSettings,
    StreamSettings,
)

__all__ = [
    "ClickHouseSettings",
    "ConsoleSettings",
    "ForwarderSettings",
    "KafkaSettings",
    "LogSettings",
    "OidcRule",
    "OidcSettings",
    "ScheduledExportSettings",
    "Settings",
    "SinkSettings",
    "StreamSettings",
    "load_settings",
    "variables",
]
