"""All settings in one, and where they come from."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from auditbus.runtime.errors import SettingsError
from auditbus.runtime.settings.console import (
    ConsoleSettings,
    OidcRule,
    ScheduledExportSettings,
    ScheduleName,
)
from auditbus.runtime.settings.pipeline import (
    ClickHouseSettings,
    ForwarderSettings,
    KafkaSettings,
    LogSettings,
    SinkSettings,
    StreamSettings,
)
from auditbus.runtime.settings.section import Section

__all__ = ["Settings", "load_settings", "variables"]

_PREFIX = "AUDITBUS_"
# Variables that are not settings of the pipeline: the config file's own path, and tooling.
_NOT_SETTINGS = frozenset({"AUDITBUS_CONFIG", "AUDITBUS_CACHE_DIR"})
_TOOLING_PREFIXES = ("AUDITBUS_TEST_", "AUDITBUS_BENCH_")


class Settings(Section):
    """Everything. Frozen; secrets are hidden from repr."""

    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    stream: StreamSettings = StreamSettings()
    sink: SinkSettings = SinkSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    data_dir: Path = Path(".auditbus")
    """Where local mode keeps its data."""
    operator_account: str = Field("system", min_length=1)
    """Account of events that belong to no tenant."""
    catalogue: Path | None = None
    """TOML file of the operator's own actions."""


# What no variable can say: tables, and lists of tables. Only the file can.
_TABLES = (
    *(dict[str, dict[str, Any]], tuple[OidcRule, ...]),
    dict[ScheduleName, ScheduledExportSettings],
)


def variables(
    section: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Yield every environment variable: its name, the path of its setting, whether it is secret."""
    for key, field in section.model_fields.items():
        inner, here = field.annotation, (*path, key)
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from variables(inner, here)
        elif inner not in _TABLES:
            yield f"{_PREFIX}{'_'.join(here).upper()}", here, "SecretStr" in str(inner)


def load_settings(
    environ: Mapping[str, str] | None = None, config_file: Path | None = None
) -> Settings:
    """Build the settings. The file is `config_file`, else AUDITBUS_CONFIG, else ./auditbus.toml.

    Raises SettingsError naming the variable or key that is wrong, unknown or unreadable.
    """
    environ = os.environ if environ is None else environ
    values = _read_file(environ, config_file)
    for path, variable, text in _from_environment(environ):
        _put(values, path, text, variable)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _read_file(environ: Mapping[str, str], config_file: Path | None) -> dict[str, Any]:
    named = config_file or (Path(p) if (p := environ.get("AUDITBUS_CONFIG")) else None)
    path = named or Path("auditbus.toml")
    if named is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error


def _from_environment(
    environ: Mapping[str, str],
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    known = {name: (path, secret) for name, path, secret in variables()}
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable.startswith(_TOOLING_PREFIXES):
            continue
        if variable in known:
            yield known[variable][0], variable, environ[variable]
            continue
        secret = variable.removesuffix("_FILE")
        if variable.endswith("_FILE") and known.get(secret, ((), False))[1]:
            if secret in environ:
                raise SettingsError(f"{secret} and {variable} are both set: keep one")
            yield known[secret][0], variable, _read_secret(variable, environ[variable])
            continue
        near = difflib.get_close_matches(variable, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{variable} is not a setting{hint}")


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: {error}") from error


def _put(values: dict[str, Any], path: tuple[str, ...], text: str, variable: str) -> None:
    *sections, key = path
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise SettingsError(f"{section} in the settings file must be a table ({variable})")
    values[key] = text


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"])
        variable = _PREFIX + path.replace(".", "_").upper()
        lines.append(f"{path} ({variable}): {item['msg']}")
    return "\n".join(lines)
