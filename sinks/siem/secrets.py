"""Secrets of a destination: by variable or by file, never in auditbus.toml.

A settings file gets copied, committed and shown; so for a secret field `token` the table holds
`token_env = "SPLUNK_TOKEN"` or `token_file = "/run/secrets/splunk"`. A variable's name must not
begin with AUDITBUS_: those are the pipeline's own settings, and unknown ones are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from auditbus.runtime.errors import SettingsError

__all__ = ["cut_secrets", "resolve_secrets", "secret_values"]


def resolve_secrets(
    model: type[BaseModel], table: Mapping[str, Any], path: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return `table` with every `NAME_env` and `NAME_file` of a secret replaced by its value.

    Raises SettingsError naming `path.NAME_env` or so; never with the value.
    """
    resolved = dict(table)
    for name, section in _sections(model):
        if isinstance(inner := resolved.get(name), Mapping):
            resolved[name] = resolve_secrets(section, inner, f"{path}.{name}", environ)
    for name in _secret_fields(model):
        if name in resolved:
            raise SettingsError(
                f"{path}.{name}: a secret does not belong in the settings file; "
                f"use {name}_env or {name}_file"
            )
        found = [key for key in (f"{name}_env", f"{name}_file") if key in resolved]
        if len(found) > 1:
            raise SettingsError(f"{path}: {found[0]} and {found[1]} are both set: keep one")
        for key in found:
            source = resolved.pop(key)
            if not isinstance(source, str):
                raise SettingsError(f"{path}.{key}: must be text")
            read = _from_variable if key.endswith("_env") else _from_file
            resolved[name] = read(f"{path}.{key}", source, environ)
    return resolved


def secret_values(settings: BaseModel) -> tuple[str, ...]:
    """Return the secrets in `settings`, to cut them out of what is shown."""
    return tuple(_secrets_in(settings))


def cut_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text`, another program's answer, without any of `secrets`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    return text


def _secrets_in(settings: BaseModel) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the fields that are tables of their own."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield name, kind


def _secret_fields(model: type[BaseModel]) -> Iterator[str]:
    return (n for n, f in model.model_fields.items() if "SecretStr" in str(f.annotation))


def _from_variable(path: str, variable: str, environ: Mapping[str, str]) -> SecretStr:
    if not environ.get(variable):
        raise SettingsError(f"{path}: the variable {variable} is not set")
    return SecretStr(environ[variable])


def _from_file(path: str, file: str, _environ: Mapping[str, str]) -> SecretStr:
    try:
        return SecretStr(Path(file).read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
