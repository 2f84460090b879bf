"""The pages say what the code does: everything in them that can be checked is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml
from standardwebhooks import Webhook, WebhookVerificationError

from auditbus.console.cli import main
from auditbus.producers.prometheus import HELP_BY_NAME
from auditbus.runtime import metrics
from auditbus.runtime.settings import load_settings, variables
from auditbus.schemas import RESERVED_FIELDS, AuditEvent, Catalogue, EnrichedEvent, RejectCode
from auditbus.schemas.topics import TopicNames
from auditbus.schemas.validation import validate
from auditbus.sinks.siem import registry
from auditbus.sinks.siem.registry import load_destinations
from tests.documents import PAGES, ROOT, Block, blocks, shell_commands, table_names
from tests.receivers.certificates import Certificates
from tests.webhook_receiver import SECRET

_SECRETS = ("SIEM_WEBHOOK_SECRET", "SPLUNK_TOKEN", "ELASTIC_API_KEY", "OTLP_AUTHORIZATION")
_FILES_OF_EXAMPLES = (
    *("events.ndjson", "records.json.gz", "audit-log.json", "audit.log", "system-log.json"),
)
_KEYS = ("SIEM_REDACTION_KEY",)
_TOOLING = {"AUDITBUS_CONFIG", "AUDITBUS_CACHE_DIR", "AUDITBUS_TEST_BACKEND"}
# Named by deploy/grafana; tests/integration/test_grafana.py compares.
_GRAFANA = {f"AUDITBUS_GRAFANA_{name}" for name in ("HOST", "USER", "PASSWORD")}
# The words that commands of other programs begin with, as far as the pages show them.
_OTHERS = {"clickhouse-client", "curl", "echo", "export", "gzip", "jq", "kcat"}


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date() -> None:
    for path, text in _generator().generated().items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/generate.py"


def test_every_kind_of_destination_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    for name in registry.built_in_kinds():
        assert f"### `{name}`" in text


def test_every_variable_stands_in_the_settings_page_once() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    for name, _path, secret in variables():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert ("*Secret.*" in row) == secret


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_is_named_exists(page: Path) -> None:
    known = {name for name, *_ in variables()} | _TOOLING | _GRAFANA
    known |= {f"{name}_FILE" for name, _, secret in variables() if secret}
    named = set(re.findall(r"AUDITBUS_[A-Z_]*[A-Z]", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_and_topic_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    declared = {getattr(metrics, name)._name for name in metrics.__all__}
    declared |= {f"{name}_total" for name in declared} | HELP_BY_NAME.keys()
    assert set(re.findall(r"`(audit_[a-z_]+)`", text)) <= declared
    tables = {"audit.events", "audit.log", "audit.ingest", "audit.ingest_to_events"}
    tables |= {"audit.activity", "audit.daily_counts"}
    known = {*TopicNames(), *tables, "audit.probe"}
    assert set(re.findall(r"`(audit\.[a-z._-]+)`", text)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(found), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize(
    ("name", "words"),
    [pytest.param(name, words, id=" ".join(words)) for name, words in shell_commands()],
)
def test_every_command_line_is_right_usage(
    name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = words
    match Path(program).name:
        case "auditbus":
            monkeypatch.chdir(tmp_path)
            for file in _FILES_OF_EXAMPLES:
                Path(file).touch()
            _parse(arguments)
        case "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert arguments[0] in targets
        case "docker":
            _check_compose(arguments)
        case "pip":
            assert arguments == ["install", "."]
        case other:
            assert other in _OTHERS, name


def _parse(arguments: list[str]) -> None:
    """Let click parse and convert everything, and run nothing."""
    command: click.Command = main
    context = click.Context(main, info_name="auditbus")
    words = [word for word in arguments if word != "..."]
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    if not isinstance(command, click.Group) and words:
        with command.make_context(context.info_name, words):
            pass  # files that it opened are closed


def _check_compose(arguments: list[str]) -> None:
    compose, *rest = arguments
    assert compose == "compose"
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    match rest:
        case ["exec", service, "auditbus", *command]:
            assert service in services
            _parse(command)
        case ["exec", "clickhouse", "clickhouse-client", *_]:
            assert "clickhouse" in services
        case ["up", *options]:
            known = {"--build", "--detach", "--scale"}
            assert {option for option in options if option.startswith("-")} <= known
            for option in options:
                if "=" in option:
                    assert option.partition("=")[0] in services
        case _:
            pytest.fail(f"not known here: docker {' '.join(arguments)}")


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.name)
def test_every_settings_file_is_valid(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text(block.text.replace("/etc/auditbus", str(tmp_path)))
    if "/etc/auditbus" in block.text:
        Certificates(tmp_path)  # those that the page's own settings name
    if block.text.startswith("# catalogue.toml"):
        assert len(Catalogue.load(file)) == len(Catalogue.builtin()) + 1
        return
    assert tomllib.loads(block.text)
    settings = load_settings({}, file)
    load_destinations(settings.forwarder.destinations, dict.fromkeys(_SECRETS + _KEYS, SECRET))


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.name)
def test_every_event_is_valid(block: Block) -> None:
    event = json.loads(block.text)
    assert validate(block.text.encode()).id == event["id"]
    assert set(event) == {field.name for field in msgspec.structs.fields(AuditEvent)} - {"producer"}


def test_the_page_of_the_event_names_every_field() -> None:
    text = (ROOT / "docs/events.md").read_text()
    own, added = text.split("## What the stream adds")
    fields = [field.name for field in msgspec.structs.fields(AuditEvent)]
    assert table_names("docs/events.md", "Field") == fields
    rows = {names[0]: names for names in _rows(own)}
    for field in msgspec.structs.fields(AuditEvent):
        assert set(_parts(field.type)) <= set(rows[field.name]), field.name
    rows = {names[0]: names for names in _rows(added.split("## Versions")[0])}
    named = {name for names in rows.values() for name in names}
    assert named >= RESERVED_FIELDS
    for field in msgspec.structs.fields(EnrichedEvent):
        if field.name in RESERVED_FIELDS:
            assert set(_parts(field.type)) <= named, field.name


def _rows(text: str) -> list[list[str]]:
    found = [re.findall(r"`([^`]+)`", line) for line in text.splitlines() if line[:3] == "| `"]
    return [names for names in found if names]


def _parts(kind: Any) -> list[str]:
    """Return the names of the fields of the structure in a field's type, if there is one."""
    inner = [kind, *getattr(kind, "__args__", ())]
    inner += [part for item in inner for part in getattr(item, "__args__", ())]
    return [
        field.encode_name
        for item in inner
        if isinstance(item, type) and issubclass(item, msgspec.Struct)
        for field in msgspec.structs.fields(item)
    ]


def test_the_page_of_the_event_names_every_code() -> None:
    assert table_names("docs/events.md", "Code") == [str(code) for code in RejectCode]


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_every_python_snippet_compiles(block: Block) -> None:
    compile(block.text, block.name, "exec")


def test_the_ways_to_verify_a_signature_work_and_refuse_a_wrong_one() -> None:
    functions = {}
    for block in blocks("python"):
        if block.name.startswith("security-teams.md"):
            namespace: dict[str, Any] = {}
            exec(block.text, namespace)
            functions |= {
                name: namespace[name] for name in ("events", "verified") if name in namespace
            }
    assert len(functions) == 2
    body = (
        b'{"type": "audit.events", "timestamp": "2026-11-22T10:00:00.000Z", "data": [{"id": "1"}]}'
    )
    headers = _signed(body)
    for verify in functions.values():
        assert verify(SECRET, headers, body) == [{"id": "1"}]
        probe = body.replace(b"audit.events", b"audit.probe")
        assert verify(SECRET, _signed(probe), probe) == []
        both = headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
        assert verify(SECRET, both, body) == [{"id": "1"}]
        with pytest.raises((WebhookVerificationError, ValueError)):
            verify(SECRET, headers, body + b" ")
        with pytest.raises((WebhookVerificationError, ValueError)):
            verify(SECRET, _signed(body, seconds_ago=3600), body)


def _signed(body: bytes, *, seconds_ago: int = 0) -> dict[str, str]:
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    signature = Webhook(SECRET).sign("msg_1", moment, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def test_the_rooms_of_the_architecture_are_those_on_the_disk() -> None:
    named = {name.rstrip("/") for name in table_names("ARCHITECTURE.md", "Folder")}
    hidden = {"src", "build", "dist"}
    found = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.suffix != ".egg-info"
    }
    assert named == found - hidden


def test_every_file_that_is_named_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+\.(?:py|toml|md|xml|yml|json|sql))`", page.read_text()):
            made = Path(name).name in {"auditbus.toml", "ports.json", "endpoints.json"}
            there = (ROOT / name).exists() or (page.parent / name).exists()
            assert made or there, f"{page.name}: {name}"


def test_no_page_is_a_stranger_to_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in PAGES:
        if page.name != "README.md":
            assert os.path.relpath(page, ROOT) in readme, page.name
