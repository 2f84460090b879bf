"""A wrong destination is refused with `forwarder.destinations.NAME.field`, a secret never shown."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from auditbus.runtime.errors import SettingsError
from auditbus.sinks.siem import registry
from auditbus.sinks.siem.destinations.webhook import WebhookSettings
from auditbus.sinks.siem.registry import load_destinations
from tests.webhook_receiver import SECRET

_GOOD: dict[str, Any] = {
    "type": "webhook",
    "url": "https://siem.example.com/hook",
    "secret_env": "HOOK_SECRET",
}
_ENVIRON = {"HOOK_SECRET": SECRET, "SHORT": "whsec_c2hvcnQ=", "EMPTY": ""}


def _load(**changes: Any) -> WebhookSettings:
    table = {key: value for key, value in (_GOOD | changes).items() if value is not None}
    (destination,) = load_destinations({"soc": table}, _ENVIRON)
    assert isinstance(destination.settings, WebhookSettings)
    return destination.settings


def test_a_secret_comes_from_a_variable_or_a_file_and_is_hidden(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    for settings in (_load(), _load(secret_env=None, secret_file=str(file))):
        assert settings.secret.get_secret_value() == SECRET
        assert SECRET not in repr(settings)
        assert "MfKQ9" not in str(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "webhok"}, r"soc\.type: must be one of: .*webhook"),
        ({"type": None}, r"soc\.type: must be one of"),
        ({"url": None}, r"soc\.url: Field required"),
        ({"url": "ftp://x"}, r"soc\.url: must be https"),
        ({"url": "https://"}, r"soc\.url: must be https"),
        ({"url": "https://u:p@x/"}, r"soc\.url: must not carry"),
        ({"url": "https://x:99999/"}, r"soc\.url: .*[Pp]ort"),
        ({"url": "http://x/"}, r"soc: url: http needs allow_private_targets"),
        ({"url": "https://127.0.0.1/"}, r"soc: url: a private address"),
        ({"url": "https://[::1]/"}, r"soc: url: a private address"),
        ({"urll": "https://x"}, r"soc\.urll: Extra inputs"),
        ({"secret": SECRET}, r"soc\.secret: a secret does not belong in the settings file"),
        ({"secret_env": None}, r"soc\.secret: Field required"),
        ({"secret_env": "NOT_SET"}, r"soc\.secret_env: the variable NOT_SET is not set"),
        ({"secret_env": "EMPTY"}, r"soc\.secret_env: the variable EMPTY is not set"),
        ({"secret_env": 7}, r"soc\.secret_env: must be text"),
        ({"secret_env": "SHORT"}, r"soc\.secret: must be whsec_"),
        ({"secret_file": "/nowhere"}, r"secret_env and secret_file are both set"),
        ({"secret_env": None, "secret_file": "/nowhere"}, r"soc\.secret_file: .*No such file"),
        ({"batch_events": 0}, r"soc\.batch_events: "),
        ({"topic": "audit.events"}, r"soc\.topic: .*'enriched' or 'raw'"),
        ({"ca_file": "/nowhere"}, r"soc\.ca_file: cannot be read"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        _load(**changes)
    assert str(refused.value).startswith("forwarder.destinations.soc")
    assert "MfKQ9" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("splunk", {}, r"soc\.token: Field required"),
        ("splunk", {"token": "t"}, r"soc\.token: a secret does not belong"),
        ("splunk", {"token_env": "TOKEN", "ack_poll_s": 0}, r"soc\.ack_poll_s: "),
        ("splunk", {"token_env": "TOKEN", "batch_bytes": 900_000}, r"soc\.batch_bytes: "),
        ("splunk", {"token_env": "TOKEN", "encoding": "xml"}, r"soc\.encoding: "),
        ("elasticsearch", {"data_stream": "a,b"}, r"soc\.data_stream: must be the name of one"),
        ("elasticsearch", {"data_stream": "Upper"}, r"soc\.data_stream: must be the name of one"),
        ("elasticsearch", {"data_stream": "a/../b"}, r"soc\.data_stream: must be the name of one"),
        ("elasticsearch", {"username": "u"}, r"soc: username and password go together"),
        ("elasticsearch", {"password_env": "TOKEN"}, r"soc: username and password go together"),
        (
            "elasticsearch",
            {"username": "u", "password_env": "TOKEN", "api_key_env": "TOKEN"},
            r"soc: api_key and username are both set",
        ),
        ("otlp", {"token_header": "a: b"}, r"soc\.token_header: "),
        ("otlp", {"client_key_file": "/nowhere"}, r"soc: client_key_file needs"),
        ("otlp", {"client_certificate_file": "/nowhere"}, r"soc: client_certificate_file: cannot"),
        ("file", {"url": None}, r"soc\.path: Field required"),
        ("file", {"url": None, "path": "/nowhere/x"}, r"soc\.path: must be - or a file in a dir"),
        ("file", {"url": None, "path": "/"}, r"soc\.path: is a directory"),
    ],
)
def test_a_wrong_setting_of_another_kind_is_named(
    kind: str, changes: dict[str, Any], message: str
) -> None:
    table = {"type": kind, "url": "https://siem.example.com", **changes}
    with pytest.raises(SettingsError, match=message) as refused:
        load_destinations(
            {"soc": {key: value for key, value in table.items() if value is not None}},
            {"TOKEN": "a-very-secret-token"},
        )
    assert str(refused.value).startswith("forwarder.destinations.soc")
    assert "very-secret" not in str(refused.value)


def test_all_faults_of_a_table_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        _load(url="ftp://x", linger_ms=-1, nonsense=1)
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["", "Soc", "a b", "a.b", "-a", "x" * 64])
def test_a_name_fits_a_consumer_group_and_a_label(name: str) -> None:
    with pytest.raises(SettingsError, match="a name is"):
        load_destinations({name: _GOOD}, _ENVIRON)


def test_a_package_can_offer_a_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    def offered(group: str) -> list[EntryPoint]:
        return [
            EntryPoint("theirs", "auditbus.sinks.siem.destinations.webhook:KIND", group),
            EntryPoint("broken", "auditbus.sinks.siem.destinations.webhook:classify", group),
            EntryPoint("away", "a_package_that_is_not_there:KIND", group),
            EntryPoint("nameless", "auditbus.sinks.siem.destinations.webhook:NOTHING", group),
        ]

    monkeypatch.setattr(registry, "entry_points", offered)
    assert _load(type="theirs").type == "theirs"
    with pytest.raises(SettingsError, match=r"soc\.type: .*broken is not a DestinationKind"):
        _load(type="broken")
    with pytest.raises(SettingsError, match=r"soc\.type: away cannot be loaded: No module named"):
        _load(type="away")
    with pytest.raises(SettingsError, match=r"soc\.type: nameless cannot be loaded: .*NOTHING"):
        _load(type="nameless")
