"""Every setting of every kind: a wrong one is refused by name, a secret is not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from auditbus.runtime.errors import SettingsError
from auditbus.sinks.siem.filters import FilterSettings
from auditbus.sinks.siem.redaction import RedactionSettings
from auditbus.sinks.siem.registry import built_in_kinds, load_destinations
from tests.receivers.certificates import Certificates
from tests.webhook_receiver import SECRET

_HTTP = {"url": "https://siem.example.com"}
_GOOD: dict[str, dict[str, Any]] = {
    "splunk": {"token_env": "TOKEN", **_HTTP},
    "elasticsearch": _HTTP,
    "otlp": _HTTP,
    "webhook": {"secret_env": "HOOK", **_HTTP},
    "file": {"path": "-"},
    "syslog": {"host": "localhost"},
}
_ENVIRON = {"TOKEN": "hunter2-hunter2-hunter2", "HOOK": SECRET, "EMPTY": ""}
_WRONG = [{}]  # is no text, number, path, choice or table
_SECTIONS = {"filter": FilterSettings, "redact": RedactionSettings}


def _secrets(kind: str) -> list[str]:
    fields = built_in_kinds()[kind].settings.model_fields
    return [name for name, field in fields.items() if "SecretStr" in str(field.annotation)]


def _settings() -> Iterator[tuple[str, str]]:
    for kind in _GOOD:
        for name in built_in_kinds()[kind].settings.model_fields:
            yield kind, name
            yield from ((kind, f"{name}.{key}") for key in _keys(name))


def _keys(section: str) -> list[str]:
    return list(_SECTIONS[section].model_fields) if section in _SECTIONS else []


def _load(kind: str, **changes: Any) -> Any:
    table = {"type": kind, **_GOOD[kind], **changes}
    (found,) = load_destinations({"soc": table}, _ENVIRON)
    return found


def test_every_kind_is_here() -> None:
    assert _GOOD.keys() == built_in_kinds().keys()
    for kind in _GOOD:
        assert _load(kind).settings.type == kind


@pytest.mark.parametrize(("kind", "path"), list(_settings()))
def test_a_setting_of_a_wrong_type_is_refused_by_name(kind: str, path: str) -> None:
    section, dot, name = path.partition(".")
    changes = {section: {name: _WRONG} if dot else _WRONG}
    with pytest.raises(SettingsError) as refused:
        _load(kind, **changes)
    lines = str(refused.value).splitlines()
    # A secret's own field is refused wherever it stands, others where they are judged.
    assert any(line.startswith(f"forwarder.destinations.soc.{path}") for line in lines), lines


@pytest.mark.parametrize("kind", _GOOD)
@pytest.mark.parametrize("path", ["nonsense", "filter.nonsense", "redact.nonsense", "Token"])
def test_a_setting_that_there_is_not_is_refused_by_name(kind: str, path: str) -> None:
    section, dot, name = path.partition(".")
    with pytest.raises(SettingsError, match=rf"soc\.{path}: "):
        _load(kind, **{section: {name: 1} if dot else 1})


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in _GOOD for name in _secrets(kind)]
)
def test_a_secret_comes_by_variable_or_file_and_is_not_shown(
    kind: str, name: str, tmp_path: Path
) -> None:
    value = SECRET if kind == "webhook" else _ENVIRON["TOKEN"]
    file = tmp_path / "secret"
    file.write_text(value + "\n")
    more = {"password": {"username": "u"}, "client_key_password": _certificate(tmp_path)}
    without = {key: one for key, one in _GOOD[kind].items() if not key.startswith(name)}
    variable = "HOOK" if kind == "webhook" else "TOKEN"
    for source in ({f"{name}_env": variable}, {f"{name}_file": str(file)}):
        table = {"type": kind, **without, **more.get(name, {}), **source}
        (found,) = load_destinations({"soc": table}, _ENVIRON)
        secret = getattr(found.settings, name)
        assert isinstance(secret, SecretStr)
        assert secret.get_secret_value() == value
        shown = (repr(found), str(found.settings), found.settings.model_dump_json())
        shown += (json.dumps(found.settings.model_dump(mode="json")),)
        assert not any(value in text for text in shown)
    for wrong, message in (
        ({name: value}, f"{name}: a secret does not belong"),
        ({f"{name}_env": "EMPTY"}, f"{name}_env: the variable EMPTY is not set"),
        ({f"{name}_env": "NOT_THERE"}, f"{name}_env: the variable NOT_THERE is not set"),
        ({f"{name}_file": str(tmp_path)}, f"{name}_file: "),
        ({f"{name}_file": "/nowhere"}, f"{name}_file: "),
        ({f"{name}_env": variable, f"{name}_file": str(file)}, "are both set"),
    ):
        with pytest.raises(SettingsError, match=message) as refused:
            load_destinations({"soc": {"type": kind, **without, **wrong}}, _ENVIRON)
        assert value not in str(refused.value)


def _certificate(folder: Path) -> dict[str, str]:
    certificates = Certificates(folder)
    return {
        "client_certificate_file": str(certificates.client),
        "client_key_file": str(certificates.client_key),
    }
