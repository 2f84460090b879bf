"""`auditbus destinations` as an operator types it, with a settings file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import Result

from auditbus.runtime.settings import Settings
from tests.command_line import auditbus
from tests.pipeline import environment_of, wait_until
from tests.webhook_receiver import SECRET

__all__ = ["Line"]


class Line:
    """Runs them in this process, but for what is to be killed."""

    def __init__(self, settings: Settings, directory: Path, **environment: str) -> None:
        self.config = directory / "auditbus.toml"
        self.environment = {
            **environment_of(settings.kafka.bootstrap_servers, settings.kafka.topic_prefix),
            "AUDITBUS_CONFIG": str(self.config),
            "HOOK_SECRET": SECRET,
            **environment,
        }
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        tables = [
            f"[forwarder.destinations.{name}]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in settings.forwarder.destinations.items()
        ]
        self.config.write_text("\n".join(tables))

    def run(self, *arguments: str) -> Result:
        return auditbus("destinations", *arguments, environment=self.environment)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run one in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "auditbus.console", "destinations", *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def listed(self) -> dict[str, dict[str, Any]]:
        result = self.run("list", "--format", "json")
        assert result.exit_code == 0, result.stderr
        # A forwarder in this process may log meanwhile, into the output that is caught here.
        lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
        return {row["name"]: row for row in map(json.loads, lines)}

    def wait(self, name: str, **expected: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def holds() -> bool:
            found.update(self.listed().get(name, {}))
            return all(found.get(key) == value for key, value in expected.items())

        wait_until(holds, deadline_s=40, what=f"{name}: {expected}")
        return found
