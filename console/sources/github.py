"""GitHub: the audit log of an organization or enterprise, exported as JSON or streamed.

After "Audit log events for your organization" and "... enterprise" and "Identifying audit log
events performed by an access token" in GitHub's documentation. Records are flat.
"""

from __future__ import annotations

import msgspec

from auditbus.console.sources.mapping import (
    Members,
    Moment,
    SourceFormat,
    View,
    action_of,
    email_in,
    identity,
    members,
    missing,
    moment,
    moment_of_ms,
    rest_of,
    view,
)

__all__ = ["FORMAT"]

_NAME = "github"
_PLACED = frozenset(
    {"action", "actor", "actor_ip", "user_agent", "request_id"}
    | {"hashed_token", "programmatic_access_type"}
)
_FIRST_FAILURE_STATUS = 400
_FAILED_LOGIN = "failed_login"

# An enterprise's log lists several where an action touched several.
_Name = str | list[str] | None
_Number = int | str | list[int] | None
_Time = int | str | None


class _Record(View, frozen=True):
    document_id: str | None = msgspec.field(name="_document_id", default=None)
    timestamp: _Time = msgspec.field(name="@timestamp", default=None)
    created_at: _Time = None
    action: str | None = None
    actor: str | None = None
    actor_id: _Number = None
    actor_ip: str | None = None
    actor_is_bot: bool | None = None
    user_agent: str | None = None
    request_id: str | None = None
    hashed_token: str | None = None
    token_id: _Number = None
    programmatic_access_type: str | None = None
    external_identity_nameid: str | None = None
    org: _Name = None
    business: _Name = None
    repo: _Name = None
    repo_id: _Number = None
    repository: _Name = None
    repository_id: _Number = None
    team: _Name = None
    team_id: _Number = None
    user: _Name = None
    user_id: _Number = None
    name: _Name = None
    status_code: int | str | None = None


def _map(record: Members, account: str | None) -> Members:
    read = view(_Record, record)
    at = _moment(read)
    action = action_of("action", read.action)
    status = read.status_code
    refused = type(status) is int and status >= _FIRST_FAILURE_STATUS
    account = account or _account(read)
    return members(
        id=identity(at, _NAME, read.document_id, record),
        action=action,
        occurred_at=at[0],
        account={"id": account} if account else None,
        actor=_actor(read),
        targets=_targets(read),
        outcome="failure" if refused or action.endswith(_FAILED_LOGIN) else "success",
        error={"code": str(status)} if refused else None,
        context=members(ip=read.actor_ip, user_agent=read.user_agent, request_id=read.request_id),
        metadata={_NAME: rest_of(record, _PLACED)},
    )


def _moment(read: _Record) -> Moment:
    for field, value in (("@timestamp", read.timestamp), ("created_at", read.created_at)):
        if value is not None:
            return moment_of_ms(field, value) if type(value) is int else moment(field, str(value))
    raise missing("@timestamp")


def _account(read: _Record) -> str | None:
    """Return the organization; the enterprise where there is none, or several."""
    several = [read.business, *(read.org if isinstance(read.org, list) else ())]
    named = [name for name in (read.org, *several) if isinstance(name, str) and name]
    return named[0] if named else None


def _actor(read: _Record) -> Members:
    number = _text(read.actor_id)
    if read.actor is None and number is None:
        kind = "system"
    elif read.actor_is_bot or (read.actor is not None and read.actor.endswith("[bot]")):
        kind = "service"
    else:
        kind = "user"
    token = read.hashed_token or _text(read.token_id)
    access = read.programmatic_access_type or ("token" if token else None)
    return members(
        type=kind,
        id=number or read.actor,
        name=read.actor,
        email=email_in(read.external_identity_nameid),
        credential=members(type=access, id=token),
    )


def _targets(read: _Record) -> list[Members]:
    """Return what the entry is about: repository, team, user, or what it names."""
    about = (
        ("repository", read.repo or read.repository, read.repo_id or read.repository_id),
        ("team", read.team, read.team_id),
        ("user", read.user, read.user_id),
    )
    found = [
        {"type": kind, **named}
        for kind, name, number in about
        if (named := members(id=_text(number), name=_text(name)))  # several are left to metadata
    ]
    return found or ([{"name": read.name}] if isinstance(read.name, str) and read.name else [])


def _text(value: str | int | list[str] | list[int] | None) -> str | None:
    """Return a name, or an id, which GitHub writes as a number; several are left to metadata."""
    return None if value is None or isinstance(value, list) else str(value)


FORMAT = SourceFormat(_NAME, _map, names_account=True)
