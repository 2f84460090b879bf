"""AWS CloudTrail: the records that a trail writes to S3, `{"Records": [...]}`, or apart.

After "CloudTrail record contents" and "CloudTrail userIdentity element" in AWS's user guide.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

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
from auditbus.producers import Redactor

__all__ = ["FORMAT"]

_NAME = "cloudtrail"
_PLACED = frozenset(
    {"eventName", "eventTime", "errorCode", "errorMessage"}
    | {"sourceIPAddress", "userAgent", "requestID"}
)
_PEOPLE = frozenset(
    {"Root", "IAMUser", "FederatedUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser"}
    | {"Directory"}
)
_SERVICES = frozenset({"AssumedRole", "Role", "AWSAccount", "AWSService"})
# IAM Identity Center signs people in through roles whose names begin so.
_SIGN_ON_ROLE = "AWSReservedSSO_"
_TARGET_SUFFIXES = (("Name", "name"), ("Id", "id"), ("Arn", "id"), ("ARN", "id"))


class _Issuer(View, frozen=True, rename="camel"):
    arn: str | None = None
    user_name: str | None = None


class _Session(View, frozen=True, rename="camel"):
    session_issuer: _Issuer | None = None


class _Person(View, frozen=True, rename="camel"):
    user_id: str | None = None


class _Identity(View, frozen=True, rename="camel"):
    type: str | None = None
    arn: str | None = None
    principal_id: str | None = None
    account_id: str | None = None
    user_name: str | None = None
    invoked_by: str | None = None
    access_key_id: str | None = None
    credential_id: str | None = None
    session_context: _Session | None = None
    on_behalf_of: _Person | None = None


class _Resource(View, frozen=True):
    type: str | None = None
    arn: str | None = msgspec.field(name="ARN", default=None)
    arn_prefix: str | None = msgspec.field(name="ARNPrefix", default=None)


class _Insight(View, frozen=True, rename="camel"):
    state: str | None = None
    event_source: str | None = None
    event_name: str | None = None
    insight_type: str | None = None


class _Record(View, frozen=True, rename="camel"):
    event_id: str | None = msgspec.field(name="eventID", default=None)
    event_time: str | None = None
    event_name: str | None = None
    event_source: str | None = None
    event_type: str | None = None
    insight_details: _Insight | None = None
    user_identity: _Identity | None = None
    recipient_account_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    source_ip: str | None = msgspec.field(name="sourceIPAddress", default=None)
    user_agent: str | None = None
    request_id: str | None = msgspec.field(name="requestID", default=None)
    resources: list[_Resource] | None = None
    request_parameters: dict[str, Any] | None = None
    response_elements: Any = None


_NOBODY = _Identity()


def _map(record: Members, account: str | None) -> Members:
    read = view(_Record, record)
    at = moment("eventTime", read.event_time)
    action, description = _what(read)
    who = read.user_identity or _NOBODY
    event: Members = {
        "id": identity(at, _NAME, read.event_id, record),
        "action": action,
        "occurred_at": at[0],
        "actor": _actor(who),
        "outcome": "success",
        "metadata": {_NAME: rest_of(record, _PLACED)},
    }
    if account := account or read.recipient_account_id or who.account_id:
        event["account"] = {"id": account}
    if targets := _targets(read):
        event["targets"] = targets
    if description:
        event["description"] = description
    context = {}
    if read.source_ip:
        context["ip"] = read.source_ip
    if read.user_agent:
        context["user_agent"] = read.user_agent
    if read.request_id:
        context["request_id"] = read.request_id
    if context:
        event["context"] = context
    if read.error_code or read.error_message:
        event["error"] = members(code=read.error_code, message=read.error_message)
        event["outcome"] = "failure"
    elif type(read.response_elements) is dict and read.response_elements.get(action) == "Failure":
        event["outcome"] = "failure"  # a sign-in that fails may have neither code nor message
    return event


def _what(read: _Record) -> tuple[str, str | None]:
    """Return action and description. An Insights record names no call of its own, but its kind."""
    insight = read.insight_details
    if read.event_name is None and insight is not None:
        about = f"{insight.event_name} ({insight.event_source})"
        kind = action_of("eventType", read.event_type)
        return kind, f"{insight.insight_type} {insight.state}: {about}"
    action = action_of("eventName", read.event_name)
    return action, f"{action} ({read.event_source})" if read.event_source else None


@lru_cache(maxsize=4096)
def _actor(who: _Identity) -> Members:
    role = who.session_context.session_issuer if who.session_context else None
    role_name = role.user_name if role else None
    name = who.user_name
    if name is None and who.arn is not None and ":assumed-role/" in who.arn:
        name = who.arn.rpartition("/")[2]
    if who.type in _PEOPLE or (role_name is not None and role_name.startswith(_SIGN_ON_ROLE)):
        kind = "user"
    else:
        kind = "service" if who.type in _SERVICES else "system"
    return members(
        type=kind,
        id=who.arn or who.principal_id or who.invoked_by or who.account_id,
        name=name or role_name or who.invoked_by,
        email=email_in(name),
        credential=_credential(who),
        on_behalf_of=_behalf(who, role),
    )


def _credential(who: _Identity) -> Members | None:
    if who.access_key_id:
        return {"type": "access_key", "id": who.access_key_id}
    if who.credential_id:
        return {"type": "identity_center_session", "id": who.credential_id}
    return None


def _behalf(who: _Identity, role: _Issuer | None) -> Members | None:
    """Return whose rights were used: a person's, passed on by an application, or a role's."""
    if who.on_behalf_of is not None and who.on_behalf_of.user_id:
        return {"type": "identity_center_user", "id": who.on_behalf_of.user_id}
    if role is not None and (role.arn or role.user_name):
        return members(type="role", id=role.arn, name=role.user_name)
    return None


def _targets(read: _Record) -> list[Members]:
    """Return the resources; where AWS lists none, what the request's parameters name."""
    found = []
    for item in read.resources or ():
        arn = item.arn or item.arn_prefix
        if item.type and arn:
            found.append({"type": item.type, "id": arn})
        elif item.type or arn:
            found.append(members(type=item.type, id=arn))
    if found:
        return found
    for key, value in (read.request_parameters or {}).items():
        if type(value) is str and value:
            for suffix, member in _TARGET_SUFFIXES:
                if key.endswith(suffix) and len(key) > len(suffix):
                    found.append({"type": key.removesuffix(suffix), member: value})
                    break
    return found


def _redactor() -> Redactor:
    """Keep the ids of access keys: they say which key has acted, which one was issued.

    The secret half and the session token are taken out by their names.
    """
    return Redactor(without=["aws"], allow=["credentials"])


FORMAT = SourceFormat(_NAME, _map, names_account=True, redactor=_redactor)
