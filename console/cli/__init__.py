"""The `auditbus` command."""

from auditbus.console.cli.root import main

__all__ = ["main"]
