"""GitHub: the audit log of an organization or enterprise, exported as JSON or streamed.

After "Audit log events for your organization" and "... enterprise" and "Identifying audit log
events performed by an access token" in GitHub's documentation. Records are flat.
"""

from __future__ import annotations

from typing import Any

from auditbus.console.sources.mapping import (
    EventMapping,
    Members,
    Moment,
    SourceFormat,
    action_of,
    canonical,
    compact,
    email_in,
    identity,
    invalid,
    members,
    metadata,
    moment,
    moment_of_ms,
    required,
    text,
)
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = ["FORMAT"]

_NAME = "github"
_TIMES = ("@timestamp", "created_at")
_FIRST_FAILURE_STATUS = 400
# What an entry is about: the target's type, the members with its name and with its number.
_TARGETS = (
    ("repository", "repo", "repo_id"),
    ("repository", "repository", "repository_id"),
    ("team", "team", "team_id"),
    ("user", "user", "user_id"),
)


def _map(record: Members, account: str | None) -> EventMapping:
    document = record.get("_document_id")
    # Without an id of its own a record is known by all that it says.
    source_id = document.encode() if type(document) is str and document else canonical(record)
    at = _moment(record)
    action = action_of("action", required(record, "action"))
    status = record.get("status_code")
    failed = action.endswith("failed_login") or (
        type(status) is int and status >= _FIRST_FAILURE_STATUS
    )
    if account is None:
        account = _account(record)
    targets = _targets(record)
    return compact(
        {
            "id": identity(at, _NAME, source_id),
            "action": action,
            "occurred_at": at[0],
            "account": {"id": account} if account else None,
            "actor": _actor(record),
            "targets": targets,
            "outcome": "failure" if failed else "success",
            "error": {"code": str(status)} if failed and type(status) is int else None,
            "context": members(
                ip=text(record, "actor_ip"),
                user_agent=text(record, "user_agent"),
                request_id=text(record, "request_id"),
            ),
            "metadata": metadata(_NAME, record),
        }
    )


def _moment(record: Members) -> Moment:
    for field in _TIMES:
        value = record.get(field)
        if value is not None:
            return moment(field, value) if type(value) is str else moment_of_ms(field, value)
    raise InvalidEvent(RejectCode.MISSING_FIELD, _TIMES[0], "required and missing")


def _account(record: Members) -> str | None:
    """Return the organization; where there is none, or several, the enterprise."""
    organization = record.get("org")
    if type(organization) is list:
        named = [name for name in organization if type(name) is str and name]
        return _text_kept(record, "business") or (named[0] if named else None)
    return _text_kept(record, "org") or _text_kept(record, "business")


def _actor(record: Members) -> dict[str, Any]:
    number = _number(record, "actor_id")
    name = text(record, "actor")
    token = text(record, "hashed_token") or _number(record, "token_id")
    access = text(record, "programmatic_access_type")
    if name is None and number is None:
        kind = "system"
    elif record.get("actor_is_bot") is True or (name is not None and name.endswith("[bot]")):
        kind = "service"
    else:
        kind = "user"
    return members(
        type=kind,
        id=number or name,
        name=name,
        email=email_in(_text_kept(record, "external_identity_nameid")),
        credential=members(type=access or ("token" if token else None), id=token),
    )


def _targets(record: Members) -> list[dict[str, str]]:
    found = []
    for kind, name_field, id_field in _TARGETS:
        name, number = _text_kept(record, name_field), _number(record, id_field)
        if name or number:
            found.append(members(type=kind, id=number, name=name))
    if not found and (name := _text_kept(record, "name")):
        found.append({"name": name})
    return found


def _text_kept(record: Members, field: str) -> str | None:
    """Return a text that stays in the record, too; some are lists in an enterprise's log."""
    value = record.get(field)
    if type(value) is list:
        return None
    if value is not None and type(value) is not str:
        raise InvalidEvent(RejectCode.WRONG_TYPE, field, "must be a string or an array")
    return value or None


def _number(record: Members, field: str) -> str | None:
    """Return an id, which GitHub writes as a number; it stays in the record."""
    value = record.get(field)
    if value is None or type(value) is list:
        return None
    if type(value) is int or type(value) is str:
        return str(value) or None
    raise invalid(field, "neither a number nor a string")


FORMAT = SourceFormat(_NAME, _map, names_account=True)
