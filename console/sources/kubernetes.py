"""Kubernetes: `audit.k8s.io/v1` Event, from the log backend or in an EventList of the webhook's.

After "kube-apiserver Audit Configuration (v1)" and "Auditing" in Kubernetes' documentation. One
request has one `auditID` and a record for each stage that the policy keeps. Each stage becomes an
event of its own: `RequestReceived` may be the only trace of a request that took the server down.
Its outcome is unknown until `ResponseComplete`; `request_id` joins them.
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
    object_of,
    required,
    text,
    texts_of,
)
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = ["FORMAT"]

_NAME = "kubernetes"
_FIRST_FAILURE_STATUS = 400
_SERVICE_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS = "system:anonymous"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_CREDENTIAL_TYPES = {"JTI": "token", "X509SHA256": "certificate"}
_DECISION = "authorization.k8s.io/decision"


def _map(record: Members, account: str | None) -> EventMapping:
    if (kind := record.get("kind")) is not None and kind != "Event":
        raise invalid("kind", "not Event")
    stage, audit_id = record.get("stage"), record.get("auditID")
    if type(stage) is str and type(audit_id) is str and audit_id:
        source_id = f"{audit_id}/{stage}".encode()
    else:
        source_id = canonical(record)
    at = _moment(record)
    verb = required(record, "verb")
    reference = object_of(record, "objectRef")
    outcome, error = _outcome(record, stage)
    addresses = texts_of(record, "sourceIPs")
    uri = record.get("requestURI")
    return compact(
        {
            "id": identity(at, _NAME, source_id),
            "action": _action(verb, reference),
            "occurred_at": at[0],
            "account": {"id": account} if account else None,
            "actor": _actor(record),
            "targets": _targets(reference),
            "description": f"{verb} {uri}" if type(uri) is str and uri else None,
            "outcome": outcome,
            "error": error,
            "context": members(
                # Only the last is the connection's own; a client can claim those before it.
                ip=addresses[-1] if addresses else None,
                forwarded_for=addresses[:-1],
                user_agent=text(record, "userAgent"),
                request_id=text(record, "auditID"),
            ),
            "metadata": metadata(_NAME, record),
        }
    )


def _moment(record: Members) -> Moment:
    """Return when the stage was reached; it stays in the record beside the request's time."""
    for field in ("stageTimestamp", "requestReceivedTimestamp"):
        value = record.get(field)
        if type(value) is str:
            return moment(field, value)
        if value is not None:
            raise InvalidEvent(RejectCode.WRONG_TYPE, field, "must be a string")
    raise InvalidEvent(RejectCode.MISSING_FIELD, "stageTimestamp", "required and missing")


def _action(verb: str, reference: Members) -> str:
    """Return `pods.delete`, `pods.exec.create`; `nonResource.get` for a URL that is no object."""
    parts = [
        text(reference.copy(), "resource", "objectRef."),
        text(reference.copy(), "subresource", "objectRef."),
    ]
    named = [part for part in parts if part]
    return action_of("verb", ".".join([*(named or ["nonResource"]), verb]))


def _actor(record: Members) -> dict[str, Any]:
    user = object_of(record, "user")
    name = text(user, "username", "user.")
    other = object_of(record, "impersonatedUser")
    other_name = text(other, "username", "impersonatedUser.")
    return members(
        type=_type_of(name),
        id=name,
        name=name,
        email=email_in(name),
        credential=_credential(object_of(user, "extra", "user.")),
        on_behalf_of=(
            {"type": _type_of(other_name), "id": other_name, "name": other_name}
            if other_name
            else None
        ),
    )


def _type_of(username: str | None) -> str:
    if username is None:
        return "system"
    if username.startswith(_SERVICE_ACCOUNT):
        return "service"
    return "system" if username.startswith("system:") and username != _ANONYMOUS else "user"


def _credential(extra: Members) -> dict[str, str] | None:
    """Return what the authenticator noted, such as `JTI=...`, since Kubernetes 1.30."""
    noted = extra.get(_CREDENTIAL)
    if type(noted) is not list or not noted or type(noted[0]) is not str:
        return None
    kind, _, value = noted[0].partition("=")
    return members(type=_CREDENTIAL_TYPES.get(kind), id=value or kind)


def _targets(reference: Members) -> list[dict[str, str]]:
    path = "objectRef."
    uid, name = text(reference, "uid", path), text(reference, "name", path)
    namespace = text(reference, "namespace", path)
    where = f"{namespace}/{name}" if namespace and name else name or namespace
    target = members(type=text(reference, "resource", path), id=uid or where, name=name)
    return [target] if target else []


def _outcome(record: Members, stage: object) -> tuple[str, dict[str, str] | None]:
    status = object_of(record, "responseStatus")
    code = status.get("code")
    notes = object_of(record, "annotations")
    failed = (type(code) is int and code >= _FIRST_FAILURE_STATUS) or stage == "Panic"
    if failed or notes.get(_DECISION) == "forbid":
        reason = text(status, "reason", "responseStatus.")
        shown = str(code) if type(code) is int else str(stage)
        message = text(status, "message", "responseStatus.")
        return "failure", members(code=reason or shown, message=message)
    if stage == "ResponseComplete" and type(code) is int:
        return "success", None
    return "unknown", None


FORMAT = SourceFormat(_NAME, _map, names_account=False, envelope="items")
