"""The curl commands of docs/api.md, run as they stand there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, console_app, serving
from tests.documents import blocks
from tests.store import encode, enriched_event, migrated_client


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_is_answered(fresh_clickhouse: ClickHouse) -> None:
    store = migrated_client(fresh_clickhouse)
    events = [enriched_event("acme") for _ in range(3)]
    Writer(store).insert([encode(event) for event in events], f"test:{uuid7()}")
    found = []
    with serving(console_app(store)) as url:
        environment = {**os.environ, "CONSOLE": url, "TOKEN": ADMINISTRATOR}
        commands = [block.text for block in blocks("bash") if block.name.startswith("api")]
        assert len(commands) >= 4
        for command in commands:
            done = subprocess.run(
                ["bash", "-euc", command.replace("curl ", "curl -sS --fail-with-body ", 1)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            answer = json.loads(done.stdout)
            if "events" in answer:
                assert answer["events"]
                environment["OLDER"] = answer["older"] or environment.get("OLDER", "")
            found.append(answer)
    assert {"id", "action", "actor", "targets"} == found[2]["events"][0].keys()
    assert found[-1]["facets"].keys() == {"action", "user"}
