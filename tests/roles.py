"""The roles as production runs them: one process each, by their command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from auditbus.deploy.local.child import Child


def start_role(
    role: str, environment: Mapping[str, str], directory: Path, name: str | None = None
) -> Child:
    """Start `auditbus ROLE`; its log is `directory/NAME.log`. It dies with the test run."""
    name = name or role
    child = Child(
        name,
        [sys.executable, "-m", "auditbus.console", role],
        environment={**os.environ, **environment, "AUDITBUS_DATA_DIR": str(directory / name)},
        log=directory / f"{name}.log",
    )
    child.start()
    return child
