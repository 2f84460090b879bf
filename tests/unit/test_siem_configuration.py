"""Changed settings: noticed by content, refused whole when wrong."""

from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from auditbus.runtime.settings import load_settings
from auditbus.sinks.siem import configuration
from auditbus.sinks.siem.configuration import SettingsWatch, configured
from tests.webhook_receiver import SECRET

_OTHER = "whsec_" + "QUJD" * 11
_TOML = """\
catalogue = "{directory}/catalogue.toml"
[forwarder.destinations.soc]
type = "webhook"
url = "https://siem.example.com/hook"
secret_file = "{directory}/secret"
"""


@pytest.fixture
def watch(tmp_path: Path) -> SettingsWatch:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "catalogue.toml").write_text("")
    (tmp_path / "auditbus.toml").write_text(_TOML.format(directory=tmp_path))
    load = partial(load_settings, {}, tmp_path / "auditbus.toml")
    return SettingsWatch(load, configured(load()))


def test_a_file_that_is_being_written_is_not_believed_at_once(
    watch: SettingsWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "_LOOK_EVERY_S", 0.0)
    assert watch.look(now=True) is None
    file = tmp_path / "auditbus.toml"
    whole = file.read_text()
    file.write_text(whole.splitlines()[0])  # valid, and without any destination
    assert watch.look() is None
    file.write_text(whole)
    assert watch.look() is None
    assert watch.look() is None
    file.write_text(whole.splitlines()[0])
    assert watch.look() is None
    assert watch.look() == []
    assert watch.look() is None


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_is_new_while_the_content_is_the_same(watch: SettingsWatch, tmp_path: Path) -> None:
    file = tmp_path / "auditbus.toml"
    file.write_text("# a comment\n" + file.read_text())
    assert watch.look(now=True) is None
    assert watch.look() is None
    assert watch.trouble is None


def test_a_secret_and_a_catalogue_that_change_count(watch: SettingsWatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(_OTHER)
    found = watch.look(now=True)
    assert found is not None
    assert watch.look(now=True) is None
    (tmp_path / "catalogue.toml").write_text('["a.b"]\ncategory = "own"\noperation = "do"\n')
    found = watch.look(now=True)
    assert found is not None
    assert "a.b" in found[0].destination.catalogue


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("auditbus.toml", "https", "ftp", "forwarder.destinations.soc.url"),
        ("auditbus.toml", "[forwarder", "[[forwarder", "auditbus.toml"),
        ("auditbus.toml", "webhook", "webhok", "forwarder.destinations.soc.type"),
        ("secret", "whsec", "whsek", "forwarder.destinations.soc.secret"),
        ("catalogue.toml", "", "nonsense", "catalogue"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    watch: SettingsWatch, tmp_path: Path, file: str, old: str, new: str, words: str
) -> None:
    before = (tmp_path / file).read_text()
    _change(tmp_path / file, old, new)
    assert watch.look(now=True) is None
    assert watch.trouble is not None
    assert watch.trouble.startswith("settings: refused")
    assert words in watch.trouble
    assert "MfKQ9" not in watch.trouble
    assert REGISTRY.get_sample_value("audit_settings_refused") == 1
    (tmp_path / file).write_text(before)
    assert watch.look(now=True) is None
    assert watch.trouble is None
    assert REGISTRY.get_sample_value("audit_settings_refused") == 0


def test_a_certificate_file_that_is_replaced_counts(watch: SettingsWatch, tmp_path: Path) -> None:
    import certifi

    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(Path(certifi.where()).read_bytes())
    file = tmp_path / "auditbus.toml"
    file.write_text(file.read_text() + f'ca_file = "{ca_file}"\n')
    assert watch.look(now=True) is not None
    assert watch.look(now=True) is None
    ca_file.write_bytes(ca_file.read_bytes() + b"\n")
    assert watch.look(now=True) is not None
