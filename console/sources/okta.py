"""Okta: LogEvent of the System Log API.

After "System Log API" in Okta's developer documentation.
"""

from __future__ import annotations

from typing import Any

from auditbus.console.sources.mapping import (
    Members,
    SourceFormat,
    View,
    action_of,
    email_in,
    identity,
    members,
    moment,
    rest_of,
    view,
)

__all__ = ["FORMAT"]

_NAME = "okta"
_PLACED = frozenset({"eventType", "published", "displayMessage"})
_OUTCOMES = {"SUCCESS": "success", "ALLOW": "success", "FAILURE": "failure", "DENY": "failure"}
_PEOPLE = frozenset({"User", "AdminUser"})
_SYSTEM = "SystemPrincipal"


class _Entity(View, frozen=True, rename="camel"):
    id: str | None = None
    type: str | None = None
    alternate_id: str | None = None
    display_name: str | None = None


class _UserAgent(View, frozen=True, rename="camel"):
    raw_user_agent: str | None = None


class _Client(View, frozen=True, rename="camel"):
    id: str | None = None
    ip_address: str | None = None
    user_agent: _UserAgent | None = None


class _Session(View, frozen=True, rename="camel"):
    external_session_id: str | None = None
    credential_type: str | None = None


class _Outcome(View, frozen=True):
    result: str | None = None
    reason: str | None = None


class _Transaction(View, frozen=True):
    id: str | None = None
    detail: dict[str, Any] | None = None


class _Link(View, frozen=True):
    ip: str | None = None


class _Request(View, frozen=True, rename="camel"):
    ip_chain: list[_Link] | None = None


class _Record(View, frozen=True, rename="camel"):
    uuid: str | None = None
    published: str | None = None
    event_type: str | None = None
    display_message: str | None = None
    actor: _Entity | None = None
    client: _Client | None = None
    authentication_context: _Session | None = None
    outcome: _Outcome | None = None
    target: list[_Entity] | None = None
    transaction: _Transaction | None = None
    request: _Request | None = None


def _map(record: Members, account: str | None) -> Members:
    read = view(_Record, record)
    at = moment("published", read.published)
    client = read.client or _Client()
    outcome, error = _outcome(read.outcome or _Outcome())
    request = read.request or _Request()
    return members(
        id=identity(at, _NAME, read.uuid, record),
        action=action_of("eventType", read.event_type),
        occurred_at=at[0],
        account={"id": account} if account else None,
        actor=_actor(read, client),
        targets=[target for item in read.target or () if (target := _target(item))],
        description=read.display_message,
        outcome=outcome,
        error=error,
        context=members(
            ip=client.ip_address,
            forwarded_for=[link.ip for link in request.ip_chain or () if link.ip],
            user_agent=client.user_agent.raw_user_agent if client.user_agent else None,
            request_id=read.transaction.id if read.transaction else None,
            session_id=(
                read.authentication_context.external_session_id
                if read.authentication_context
                else None
            ),
        ),
        metadata={_NAME: rest_of(record, _PLACED)},
    )


def _actor(read: _Record, client: _Client) -> Members:
    actor = read.actor or _Entity(type=_SYSTEM)
    if actor.type in _PEOPLE:
        kind = "user"
    else:
        kind = "system" if actor.type in {None, _SYSTEM} else "service"
    return members(
        type=kind,
        id=actor.id or actor.alternate_id,
        name=actor.display_name or actor.alternate_id,
        email=email_in(actor.alternate_id),
        credential=_credential(read, client),
    )


def _credential(read: _Record, client: _Client) -> Members | None:
    """Return the API token, the OAuth client, or the kind of proof that was shown."""
    detail = (read.transaction.detail if read.transaction else None) or {}
    token = detail.get("requestApiTokenId")
    if type(token) is str and token:
        return {"type": "api_token", "id": token}
    if client.id:
        return {"type": "oauth_client", "id": client.id}
    session = read.authentication_context
    return members(type=session.credential_type) if session else None


def _target(item: _Entity) -> Members:
    return members(
        type=item.type,
        id=item.id or item.alternate_id,
        name=item.display_name or item.alternate_id,
    )


def _outcome(outcome: _Outcome) -> tuple[str, Members | None]:
    judged = _OUTCOMES.get(outcome.result or "", "unknown")
    if judged == "failure":
        return judged, members(code=outcome.result, message=outcome.reason)
    return judged, None


FORMAT = SourceFormat(_NAME, _map, names_account=False)
