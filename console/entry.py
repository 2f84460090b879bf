"""The `auditbus` command. It starts in the base install too, and says there what to install."""

from __future__ import annotations

import sys

from auditbus.runtime.errors import MissingExtra
from auditbus.runtime.extras import requires_extra

__all__ = ["main"]

_WRONG_USAGE = 2


def main() -> int:
    """Run the command line; return the exit code where it does not exit by itself."""
    try:
        with requires_extra("console"):
            from auditbus.console.cli import main as command_line
    except MissingExtra as missing:
        sys.stderr.write(f"auditbus: {missing}\n")
        return _WRONG_USAGE
    command_line(prog_name="auditbus")
    return 0
