"""A destination in a package of its own: built and installed offline, and delivered through."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson

from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    forwarder_process,
    forwarder_settings,
    publish,
)
from tests.pipeline import wait_until

_PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "auditbus-drawer"
version = "1.0"

[project.entry-points."auditbus.destinations"]
drawer = "auditbus_drawer:KIND"

[tool.setuptools]
py-modules = ["auditbus_drawer"]
"""

_MODULE = '''\
"""Puts each request into a drawer: a directory with a file a request."""

from pathlib import Path

from auditbus.sinks.siem import Delivered, DestinationKind, DestinationSettings, Parcel


class DrawerSettings(DestinationSettings):
    """A drawer."""

    directory: Path
    """Where it is."""


class DrawerClient:
    """Fills it."""

    def __init__(self, settings: DrawerSettings) -> None:
        self._directory = settings.directory

    def deliver(self, parcel: Parcel) -> Delivered:
        """Write a file, complete or not at all."""
        made = self._directory / f"{parcel.id}.part"
        made.write_bytes(b"\\n".join(parcel.events))
        made.rename(made.with_suffix(".ndjson"))
        return Delivered()

    def probe(self) -> Delivered:
        """Do nothing."""
        return Delivered()

    def close(self) -> None:
        """Do nothing."""


KIND = DestinationKind(settings=DrawerSettings, connect=DrawerClient, ordered=False)
'''


def test_a_destination_of_another_package_is_found_and_used(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    source, site, drawer = tmp_path / "source", tmp_path / "site", tmp_path / "drawer"
    source.mkdir()
    drawer.mkdir()
    (source / "pyproject.toml").write_text(_PROJECT)
    (source / "auditbus_drawer.py").write_text(_MODULE)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)),
            str(source),
        ],
        check=True,
    )
    settings = forwarder_settings(
        kafka.bootstrap_servers,
        unique_prefix,
        attic={"type": "drawer", "directory": str(drawer), "batch_events": 50, "linger_ms": 20},
    )
    ids = publish(settings, settings.kafka.topics.enriched, 500)
    path = os.pathsep.join([str(site), str(Path(__file__).parents[2])])
    child = forwarder_process(settings, tmp_path, PYTHONPATH=path)
    child.start()
    try:
        wait_until(
            lambda: sum(committed(settings, "attic").values()) == 500,
            deadline_s=40,
            what="all committed",
        )
    finally:
        child.stop(8)
    lines = [line for file in drawer.glob("*.ndjson") for line in file.read_bytes().splitlines()]
    check_exactly_once(ids, Counter(orjson.loads(line)["id"] for line in lines))
