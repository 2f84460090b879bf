"""AWS CloudTrail: the records that a trail writes to S3, `{"Records": [...]}`, or apart.

After "CloudTrail record contents" and "CloudTrail userIdentity element" in AWS's user guide.
"""

from __future__ import annotations

from typing import Any

from auditbus.console.sources.mapping import (
    EventMapping,
    Members,
    SourceFormat,
    action_of,
    canonical,
    compact,
    email_in,
    identity,
    members,
    metadata,
    moment,
    object_of,
    objects_of,
    required,
    text,
)

__all__ = ["FORMAT"]

_NAME = "cloudtrail"
_PEOPLE = frozenset(
    {
        "Root",
        "IAMUser",
        "FederatedUser",
        "SAMLUser",
        "WebIdentityUser",
        "IdentityCenterUser",
        "Directory",
    }
)
# IAM Identity Center signs people in through roles whose names begin so.
_SIGN_ON_ROLE = "AWSReservedSSO_"
_TARGET_SUFFIXES = (("Name", "name"), ("Id", "id"), ("Arn", "id"), ("ARN", "id"))


def _map(record: Members, account: str | None) -> EventMapping:
    event_id = record.get("eventID")
    source_id = event_id.encode() if type(event_id) is str and event_id else canonical(record)
    at = moment("eventTime", required(record, "eventTime"))
    action = action_of("eventName", required(record, "eventName"))
    who = object_of(record, "userIdentity")
    actor = _actor(who)
    source = record.get("eventSource")
    answer = record.get("responseElements")
    error = members(code=text(record, "errorCode"), message=text(record, "errorMessage"))
    # A sign-in that fails may have neither code nor message.
    failed = bool(error) or (type(answer) is dict and answer.get(action) == "Failure")
    if account is None:
        account = text(record, "recipientAccountId") or text(who, "accountId", "userIdentity.")
    return compact(
        {
            "id": identity(at, _NAME, source_id),
            "action": action,
            "occurred_at": at[0],
            "account": {"id": account} if account else None,
            "actor": actor,
            "targets": _targets(record),
            "description": f"{action} ({source})" if type(source) is str and source else None,
            "outcome": "failure" if failed else "success",
            "error": error,
            "context": members(
                ip=text(record, "sourceIPAddress"),
                user_agent=text(record, "userAgent"),
                request_id=text(record, "requestID"),
            ),
            "metadata": metadata(_NAME, record),
        }
    )


def _actor(who: Members) -> dict[str, Any]:
    path = "userIdentity."
    kind = text(who, "type", path)
    arn = text(who, "arn", path)
    user_name = text(who, "userName", path)
    service = text(who, "invokedBy", path)
    session = object_of(who, "sessionContext", path)
    role = object_of(session, "sessionIssuer", path + "sessionContext.")
    role_name = text(role, "userName", path + "sessionContext.sessionIssuer.")
    role_arn = text(role, "arn", path + "sessionContext.sessionIssuer.")
    name = user_name
    if name is None and arn is not None and ":assumed-role/" in arn:
        name = arn.rpartition("/")[2]
    key = text(who, "accessKeyId", path)
    credential_id = text(who, "credentialId", path)
    return members(
        type=_actor_type(kind, role_name, service),
        id=arn or text(who, "principalId", path) or service or text(who.copy(), "accountId", path),
        name=name or role_name or service,
        email=email_in(name),
        credential=(
            {"type": "access_key", "id": key}
            if key
            else {"type": "identity_center_session", "id": credential_id}
            if credential_id
            else None
        ),
        on_behalf_of=_behalf(who, role_arn, role_name),
    )


def _actor_type(kind: str | None, role_name: str | None, service: str | None) -> str:
    if kind in _PEOPLE:
        return "user"
    if kind == "AssumedRole" and role_name is not None and role_name.startswith(_SIGN_ON_ROLE):
        return "user"
    return "service" if kind in {"AssumedRole", "Role", "AWSAccount", "AWSService"} else "system"


def _behalf(who: Members, role_arn: str | None, role_name: str | None) -> dict[str, str] | None:
    """Return whose rights were used: a person's, passed on by an application, or a role's."""
    person = object_of(who, "onBehalfOf", "userIdentity.")
    if user_id := text(person, "userId", "userIdentity.onBehalfOf."):
        return {"type": "identity_center_user", "id": user_id}
    if role_arn or role_name:
        return members(type="role", id=role_arn, name=role_name)
    return None


def _targets(record: Members) -> list[dict[str, str]]:
    """Return the resources; where AWS lists none, what the request's parameters name."""
    found = []
    for index, resource in enumerate(objects_of(record, "resources")):
        path = f"resources[{index}]."
        arn = text(resource, "ARN", path) or text(resource, "ARNPrefix", path)
        if target := members(type=text(resource, "type", path), id=arn):
            found.append(target)
    if found:
        return found
    for key, value in object_of(record, "requestParameters").items():
        if type(value) is str and value:
            for suffix, member in _TARGET_SUFFIXES:
                if key.endswith(suffix) and len(key) > len(suffix):
                    found.append({"type": key.removesuffix(suffix), member: value})
                    break
    return found


FORMAT = SourceFormat(_NAME, _map, names_account=True)
