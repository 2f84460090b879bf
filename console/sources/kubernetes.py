"""Kubernetes: `audit.k8s.io/v1` Event, from the log backend or in an EventList of the webhook's.

After "kube-apiserver Audit Configuration (v1)" and "Auditing" in Kubernetes' documentation. One
request has one `auditID` and a record for each stage that the policy keeps. Each stage becomes an
event of its own: `RequestReceived` may be the only trace of a request that took the server down.
Its outcome is unknown until `ResponseComplete`; `request_id` joins them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from auditbus.console.sources.mapping import (
    Members,
    SourceFormat,
    View,
    action_of,
    email_in,
    identity,
    invalid,
    members,
    moment,
    rest_of,
    view,
)

__all__ = ["FORMAT"]

_NAME = "kubernetes"
_PLACED = frozenset({"auditID", "userAgent", "sourceIPs"})
_FIRST_FAILURE_STATUS = 400
_SERVICE_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS = "system:anonymous"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_CREDENTIAL_TYPES = {"JTI": "token", "X509SHA256": "certificate"}
_DECISION = "authorization.k8s.io/decision"


class _User(View, frozen=True):
    username: str | None = None
    extra: dict[str, Any] | None = None


class _Reference(View, frozen=True):
    resource: str | None = None
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Status(View, frozen=True):
    code: int | None = None
    reason: str | None = None
    message: str | None = None


class _Record(View, frozen=True, rename="camel"):
    kind: str | None = None
    audit_id: str | None = msgspec.field(name="auditID", default=None)
    stage: str | None = None
    uri: str | None = msgspec.field(name="requestURI", default=None)
    verb: str | None = None
    user: _User | None = None
    impersonated_user: _User | None = None
    addresses: list[str] | None = msgspec.field(name="sourceIPs", default=None)
    user_agent: str | None = None
    object_ref: _Reference | None = None
    response_status: _Status | None = None
    request_received_timestamp: str | None = None
    stage_timestamp: str | None = None
    annotations: dict[str, Any] | None = None


def _map(record: Members, account: str | None) -> Members:
    read = view(_Record, record)
    if read.kind is not None and read.kind != "Event":
        raise invalid("kind", "not Event")
    if read.stage_timestamp is None and read.request_received_timestamp is not None:
        at = moment("requestReceivedTimestamp", read.request_received_timestamp)
    else:
        at = moment("stageTimestamp", read.stage_timestamp)
    own_id = f"{read.audit_id}/{read.stage}" if read.audit_id and read.stage else None
    outcome, error = _outcome(read)
    addresses = read.addresses or []
    return members(
        id=identity(at, _NAME, own_id, record),
        action=_action(read),
        occurred_at=at[0],
        account={"id": account} if account else None,
        actor=_actor(read),
        targets=_targets(read.object_ref),
        description=f"{read.verb} {read.uri}" if read.uri else None,
        outcome=outcome,
        error=error,
        context=members(
            # Only the last is the connection's own; a client can claim those before it.
            ip=addresses[-1] if addresses else None,
            forwarded_for=addresses[:-1],
            user_agent=read.user_agent,
            request_id=read.audit_id,
        ),
        metadata={_NAME: rest_of(record, _PLACED)},
    )


def _action(read: _Record) -> str:
    """Return `pods.delete`, `pods.exec.create`; `nonResource.get` for a URL that is no object."""
    verb = action_of("verb", read.verb)
    reference = read.object_ref
    if reference is None or not reference.resource:
        return action_of("verb", f"nonResource.{verb}")
    what = reference.resource
    if reference.subresource:
        what = f"{what}.{reference.subresource}"
    return action_of("objectRef.resource", f"{what}.{verb}")


def _actor(read: _Record) -> Members:
    name = read.user.username if read.user else None
    other = read.impersonated_user.username if read.impersonated_user else None
    return members(
        type=_type_of(name),
        id=name,
        name=name,
        email=email_in(name),
        credential=_credential(read.user),
        on_behalf_of=members(type=_type_of(other), id=other, name=other) if other else None,
    )


def _type_of(username: str | None) -> str:
    if username is None:
        return "system"
    if username.startswith(_SERVICE_ACCOUNT):
        return "service"
    return "system" if username.startswith("system:") and username != _ANONYMOUS else "user"


def _credential(user: _User | None) -> Members | None:
    """Return what the authenticator noted, such as `JTI=...`."""
    noted = (user.extra or {}).get(_CREDENTIAL) if user else None
    if type(noted) is not list or not noted or type(noted[0]) is not str:
        return None
    kind, _, value = noted[0].partition("=")
    return members(type=_CREDENTIAL_TYPES.get(kind), id=value or kind)


def _targets(reference: _Reference | None) -> list[Members]:
    if reference is None:
        return []
    name, namespace = reference.name, reference.namespace
    where = f"{namespace}/{name}" if namespace and name else name or namespace
    target = members(type=reference.resource, id=reference.uid or where, name=name)
    return [target] if target else []


def _outcome(read: _Record) -> tuple[str, Members | None]:
    status = read.response_status or _Status()
    refused = status.code is not None and status.code >= _FIRST_FAILURE_STATUS
    if refused or read.stage == "Panic" or (read.annotations or {}).get(_DECISION) == "forbid":
        code = status.reason or (str(status.code) if status.code else read.stage)
        return "failure", members(code=code, message=status.message)
    if read.stage == "ResponseComplete" and status.code is not None:
        return "success", None
    return "unknown", None


FORMAT = SourceFormat(_NAME, _map, names_account=False, envelope="items")
