"""The examples of docs/other-languages.md, run as they stand there, on a real Kafka.

Their clients come by Maven, npm and go, each as it is configured, into the cache that the broker's
jars lie in, once.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from auditbus.deploy.local.kafka.fetch import cache_directory
from auditbus.producers import AuditProducer
from auditbus.runtime.settings import Settings
from auditbus.schemas.validation import validate
from tests.backends.parts import Kafka
from tests.documents import ROOT, blocks
from tests.pipeline import environment_of, read_topic, settings_with_topics

_PAGE = "other-languages.md"
_KAFKAJS = "kafkajs@2.2.4"
_FETCH_TIMEOUT_S = 240
_RUN_TIMEOUT_S = 120
_SCHEMA = json.loads((ROOT / "schemas/json/audit-event.v1.schema.json").read_text())
# Enough that another hash would not put them all on the same partitions; not only ASCII.
_ACCOUNTS = [*(f"account-{number}" for number in range(28)), "Straße 7", "アカウント"]


def _snippet(kind: str) -> str:
    (found,) = (block.text for block in blocks(kind) if block.name.startswith(_PAGE))
    return found


def _needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _cached(name: str, fill: Callable[[Path], None]) -> Path:
    """Return a directory that `fill` made, now or in an earlier run."""
    kept = cache_directory() / name
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f"{name}-") as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            fill(made)
            try:
                made.rename(kept)
            except OSError:  # another process was quicker
                assert kept.is_dir()
    return kept


def _run(*command: str | Path, directory: Path, timeout_s: int, stdin: str | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture
def settings(kafka: Kafka, unique_prefix: str) -> Settings:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    return settings_with_topics(environment | {"AUDITBUS_KAFKA_PARTITIONS": "12"})


def _check(settings: Settings, accounts: list[str]) -> None:
    """Each account's event is valid and lies where the SDK puts that account's events."""
    topic = settings.kafka.topics.events
    before = read_topic(settings, topic, until=lambda found: len(found) >= len(accounts))
    assert len(before) == len(accounts)
    theirs = {}
    for message in before:
        value = message.value() or b""
        jsonschema.validate(json.loads(value), _SCHEMA)
        event = validate(value, broker_time_ms=message.timestamp()[1])
        assert event.account is not None
        assert message.key() == event.account.id.encode()
        theirs[event.account.id] = message.partition()
    with AuditProducer(settings.kafka.bootstrap_servers, topic=topic) as producer:
        for account in accounts:
            producer.emit(action="Login", account={"id": account}, actor={"type": "user"})
    both = read_topic(settings, topic, until=lambda found: len(found) >= 2 * len(accounts))
    known = {(message.partition(), message.offset()) for message in before}
    ours = {
        (message.key() or b"").decode(): message.partition()
        for message in both
        if (message.partition(), message.offset()) not in known
    }
    assert theirs == {account: ours[account] for account in accounts}


def test_java(settings: Settings, tmp_path: Path) -> None:
    java, maven = _needed("java"), _needed("mvn")
    pom = _snippet("xml")

    def fetch(directory: Path) -> None:
        (tmp_path / "pom.xml").write_text(pom, encoding="utf-8")
        goal = "dependency:copy-dependencies"
        _run(
            *(maven, "--batch-mode", "--quiet", goal, f"-DoutputDirectory={directory}"),
            directory=tmp_path,
            timeout_s=_FETCH_TIMEOUT_S,
        )

    jars = _cached(f"java-client-{hashlib.sha256(pom.encode()).hexdigest()[:16]}", fetch)
    (tmp_path / "Publish.java").write_text(_snippet("java"), encoding="utf-8")
    _run(
        *(java, "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-cp", f"{jars}/*"),
        *("Publish.java", settings.kafka.bootstrap_servers, settings.kafka.topics.events),
        *_ACCOUNTS,
        directory=tmp_path,
        timeout_s=_RUN_TIMEOUT_S,
    )
    _check(settings, _ACCOUNTS)


def test_node(settings: Settings) -> None:
    node, npm = _needed("node"), _needed("npm")

    def fetch(directory: Path) -> None:
        (directory / "package.json").write_text('{"private": true}')
        _run(
            *(npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"),
            _KAFKAJS,
            directory=directory,
            timeout_s=_FETCH_TIMEOUT_S,
        )

    modules = _cached(f"node-{_KAFKAJS.replace('@', '-')}", fetch)
    with tempfile.NamedTemporaryFile("w", dir=modules, suffix=".mjs", encoding="utf-8") as script:
        script.write(_snippet("js"))
        script.flush()
        _run(
            *(node, script.name, settings.kafka.bootstrap_servers),
            *(settings.kafka.topics.events, *_ACCOUNTS),
            directory=modules,
            timeout_s=_RUN_TIMEOUT_S,
        )
    _check(settings, _ACCOUNTS)


def test_go(settings: Settings) -> None:
    go = _needed("go")
    source = _snippet("go")
    page = (ROOT / "docs" / _PAGE).read_text(encoding="utf-8")
    commands = re.findall(r"`(go (?:mod|get) [^`]+)`", page)
    assert [command.split()[1] for command in commands] == ["mod", "get"]

    def build(directory: Path) -> None:
        (directory / "publish.go").write_text(source, encoding="utf-8")
        for command in (*commands, "go build -o publish ."):
            words = shlex.split(command)[1:]
            _run(go, *words, directory=directory, timeout_s=_FETCH_TIMEOUT_S)

    known_by = "\n".join([source, *commands]).encode()
    built = _cached(f"go-client-{hashlib.sha256(known_by).hexdigest()[:16]}", build)
    _run(
        *(built / "publish", settings.kafka.bootstrap_servers, settings.kafka.topics.events),
        *_ACCOUNTS,
        directory=built,
        timeout_s=_RUN_TIMEOUT_S,
    )
    _check(settings, _ACCOUNTS)


def test_kcat(settings: Settings) -> None:
    kcat = _needed("kcat")
    (line,) = (line for line in _snippet("sh").splitlines() if "kcat" in line)
    echo, _, command = line.partition(" | ")
    event = shlex.split(echo)[1]
    for account in _ACCOUNTS:
        words = shlex.split(command.replace("127.0.0.1:9092", settings.kafka.bootstrap_servers))
        words[words.index("-t") + 1] = settings.kafka.topics.events
        words[words.index("-k") + 1] = account
        _run(
            *(kcat, *words[1:]),
            directory=Path.cwd(),
            timeout_s=_RUN_TIMEOUT_S,
            stdin=event.replace('"acme"', json.dumps(account)) + "\n",
        )
    _check(settings, _ACCOUNTS)
