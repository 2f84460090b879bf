"""A group that imports a command only when it is run, so that `auditbus --help` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from auditbus.console.cli.exit_codes import Failure
from auditbus.schemas.errors import AuditbusError

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Finds its commands by module: `lazy` maps a name to (module, attribute, one line of help).

    Commands are listed in that order.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        """Take `lazy`; everything else is click's."""
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names in the order of `lazy`."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in self._lazy:
            return None
        module, attribute, _ = self._lazy[cmd_name]
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of auditbus end it with their message and exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except AuditbusError as error:
            raise Failure(error) from error
        except BrokenPipeError:
            # The reader has seen enough (`auditbus events | head`). What is still buffered goes
            # nowhere, or the interpreter would complain about it on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        return result
