"""`auditbus token create|list|revoke`: API tokens, made where nobody can sign in yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import ValidationError

from auditbus.console.access import Register, Role
from auditbus.console.access.api_tokens import (
    Change,
    NewToken,
    changes_of,
    make_token,
    revoked,
    shown,
    token_created,
    token_revoked,
)
from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.own_record import emitting, operator
from auditbus.console.cli.terminal import note, print_listing
from auditbus.console.query.connection import connected
from auditbus.runtime.settings import Settings

__all__ = ["token"]

_COLUMNS = {
    "id": "Id",
    "name": "Name",
    "role": "Role",
    "accounts": "Accounts",
    "organizations": "Organizations",
    "actor_id": "Actor",
    "created_at": "Made",
    "created_by": "By",
    "expires_at": "Expires",
    "last_used_at": "Last used",
}
_OPTIONS = {"expires_in_days": "--days", "actor_id": "--actor", "accounts": "--account"}
_CLIENT_ID = "auditbus-token"


@click.group(
    epilog="""\b
Examples:
  auditbus token create --name reports --role auditor --account acme --days 30
  auditbus token list
  auditbus token revoke ID"""
)
def token() -> None:
    """Make, list and revoke API tokens, as `/api/v1/tokens` does.

    The log records who asked, first: without Kafka nothing is changed.
    """


@token.command(
    short_help="Make a token.",
    epilog="""\b
Examples:
  auditbus token create --name reports --role auditor --account acme
  auditbus token create --name first --role administrator --days 1 > token

The secret is the one line on standard output: nobody can read it again.""",
)
@click.option("--name", required=True, metavar="TEXT", help="What it is for.")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default="member", show_default=True
)
@click.option("--account", "accounts", multiple=True, metavar="ID", help="Account it may see.")
@click.option(
    "--organization", "organizations", multiple=True, metavar="NAME", help="For auditors."
)
@click.option("--actor", "actor_id", metavar="ID", help="Actor whose own actions it may see.")
@click.option("--days", "expires_in_days", type=int, default=90, show_default=True)
@pipeline_settings
def create(settings: Settings, **asked: Any) -> None:
    """Make a token and print its secret."""
    try:
        wanted = NewToken(**asked)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = str(first["loc"][0])
        raise click.BadParameter(
            first["msg"], param_hint=_OPTIONS.get(field, f"--{field.removesuffix('s')}")
        ) from None
    with _register(settings) as register:
        for name in wanted.organizations:
            if register.organizations.get(name) is None:
                note(f"there is no organization {name!r}")
                raise click.exceptions.Exit(ExitCode.REFUSED)
        made, secret = make_token(wanted, operator())
        _record(settings, token_created(made))
        register.tokens.put(made)
    note(f"made: {made.id}, expires {_moment(made.expires_at)}")
    click.echo(secret)


@token.command(
    "list",
    short_help="List the tokens.",
    epilog="""\b
Examples:
  auditbus token list
  auditbus token list --format json""",
)
@listing_format
@pipeline_settings
def list_(settings: Settings, output: str) -> None:
    """List the tokens that are not revoked; some may have expired. Secrets are not kept."""
    with _register(settings) as register:
        found, used = register.tokens.all(), register.token_uses()
    rows = ({**shown(one), "last_used_at": used.get(one.id)} for one in found)
    print_listing(
        _COLUMNS,
        (
            {key: _moment(v) if isinstance(v, datetime) else v for key, v in row.items()}
            for row in rows
        ),
        output,
    )


@token.command(
    short_help="Revoke a token.",
    epilog="""\b
Examples:
  auditbus token revoke 0123456789abcdef""",
)
@click.argument("id_", metavar="ID")
@pipeline_settings
def revoke(settings: Settings, id_: str) -> None:
    """Revoke the token ID for good. Within seconds no console process takes it any more."""
    with _register(settings) as register:
        if (found := register.tokens.get(id_)) is None:
            note(f"{id_}: no such token")
            raise click.exceptions.Exit(ExitCode.REFUSED)
        _record(settings, token_revoked(found))
        register.tokens.put(revoked(found, operator()))
    click.echo(f"revoked: {id_}")


@contextmanager
def _register(settings: Settings) -> Iterator[Register]:
    with connected(settings.clickhouse) as client:
        yield Register(client)


def _record(settings: Settings, change: Change) -> None:
    with emitting(settings, _CLIENT_ID) as emit:
        emit(
            {
                "action": change.action,
                "description": change.description,
                "actor": {"type": "user", "id": operator()},
                "targets": [dict(change.target)],
                "changes": changes_of(change.before, change.after),
            }
        )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
