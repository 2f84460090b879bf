"""OCSF 1.8.0, one JSON object an event: https://schema.ocsf.io/1.8.0 .

Every class has the same frame: time, metadata, status, severity, who, from where. What the class is
about (`user`, `entity`, `file`, ...) comes from `ocsf_subjects`. What OCSF has no attribute for
stands in `unmapped`, in the form it came in. 6001 has an actor only through the profile `host`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from auditbus import __version__
from auditbus.schemas.catalogue import Catalogue, Severity
from auditbus.schemas.enriched import Location
from auditbus.schemas.event import Actor, Context, Delegate, EventError
from auditbus.sinks.siem.encodings.classification import OCSF_CLASSES, Kind, look_up
from auditbus.sinks.siem.encodings.event import Encoder, Event
from auditbus.sinks.siem.encodings.ocsf_endpoint import origin_of
from auditbus.sinks.siem.encodings.ocsf_subjects import SUBJECTS
from auditbus.sinks.siem.encodings.remainder import Mapped
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["OCSF_VERSION", "ocsf_encoder"]

OCSF_VERSION = "1.8.0"

_PRODUCT = {"name": "auditbus", "vendor_name": "auditbus", "version": __version__}
_SEVERITIES = {
    Severity.INFORMATIONAL: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_STATUSES = {"unknown": (0, "Unknown"), "success": (1, "Success"), "failure": (2, "Failure")}
_USER_TYPES = {"user": 1, "system": 3, "service": 4}
# The pattern of OCSF's email_t. Another spelling of an address stays in `unmapped`.
_is_email = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+").fullmatch

_MAPPED = Mapped(
    whole=(
        *("id", "schema_version", "action", "occurred_at", "received_at", "description"),
        *("outcome", "targets"),
    ),
    parts={
        "account": ("id",),
        "actor": ("type", "id", "name", "email", "credential"),
        "error": ("code", "message"),
        "context": ("ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"),
        "location": set(Location.__struct_fields__) - {"country"},
    },
    kept=("category", "operation", "changes", "metadata", "producer", "device", "origin"),
)
_HOSTED = 6001
# How many targets a class has room for; of those of 3001 and 3002, the type would be lost.
_TARGETS_MAPPED = {3001: 0, 3002: 0, 3004: 1, 3006: 1, 6001: 1_000, 6003: 1_000, 6006: 1}


def ocsf_encoder(catalogue: Catalogue) -> Encoder:
    """Return the function that makes an event one OCSF event."""

    @lru_cache(maxsize=4_096)
    def frame(action: str, category: str | None, operation: str | None) -> tuple[bytes, Kind]:
        kind = look_up(catalogue, action, category, operation)
        return _frame(kind), kind

    def encode(event: Event) -> bytes:
        view = read_view(event)
        head, kind = frame(view.action, view.category, view.operation)
        metadata = to_json(_metadata(view, event))
        return b"%b,%b,%b" % (head, metadata[1:], to_json(_body(view, event, kind))[1:])

    return encode


def _body(view: View, event: Event, kind: Kind) -> dict[str, Any]:
    rest = _MAPPED.rest(view, event.fields)
    status_id, status = _STATUSES[view.effective_outcome]
    body: dict[str, Any] = {
        "time": epoch_ms(view),
        "message": view.description or kind.description,
        "status_id": status_id,
        "status": status,
        "actor": {"user": _user(view.actor, rest)},
    }
    if view.error:
        _add_error(view.error, body)
    if context := view.context:
        if context.session_id:
            body["actor"]["session"] = {"uid": context.session_id}
        if request := _request(context, rest):
            body["http_request"] = request
    if endpoint := origin_of(view, event, rest):
        body["src_endpoint"] = endpoint
    SUBJECTS[kind.ocsf_class](body, view, kind)
    if view.targets and len(view.targets) > _TARGETS_MAPPED[kind.ocsf_class]:
        rest["targets"] = event.fields["targets"]
    if view.actor and (delegate := view.actor.on_behalf_of):
        body["observables"] = _observables(delegate)
    if rest:
        body["unmapped"] = rest
    return body


def _add_error(error: EventError, body: dict[str, Any]) -> None:
    if error.code:
        body["status_code"] = error.code
    if error.message:
        body["status_detail"] = error.message


def _frame(kind: Kind) -> bytes:
    """Return how every event of a kind begins, up to the first members of `metadata`."""
    severity_id, severity = _SEVERITIES[kind.severity]
    metadata: dict[str, Any] = {
        "version": OCSF_VERSION,
        "product": _PRODUCT,
        "event_code": kind.action,
    }
    if kind.ocsf_class == _HOSTED:
        metadata["profiles"] = ["host"]
    constant = {
        "class_uid": kind.ocsf_class,
        "class_name": OCSF_CLASSES[kind.ocsf_class],
        "category_uid": kind.ocsf_class // 1000,
        "activity_id": kind.ocsf_activity,
        "activity_name": kind.ocsf_activity_name,
        "type_uid": kind.ocsf_class * 100 + kind.ocsf_activity,
        "severity_id": severity_id,
        "severity": severity,
        "metadata": metadata,
    }
    return to_json(constant)[: -len(b"}}")]


def _metadata(view: View, event: Event) -> dict[str, Any]:
    metadata: dict[str, Any] = {"uid": view.id, "original_time": view.occurred_at}
    if (received := received_ms(view, event)) is not None:
        metadata["logged_time"] = received
    if view.account:
        metadata["tenant_uid"] = view.account.id
    if view.context and view.context.trace_id:
        metadata["correlation_uid"] = view.context.trace_id
    if view.producer and view.producer.seq is not None:
        metadata["sequence"] = view.producer.seq
    return metadata


def _user(actor: Actor | None, rest: dict[str, Any]) -> dict[str, Any]:
    if actor is None:
        return {"name": "unknown", "type_id": 0}
    user: dict[str, Any] = {"type_id": _USER_TYPES[actor.type]}
    if actor.id:
        user["uid"] = actor.id
    if name := actor.name or actor.email or ("" if actor.id else actor.type):
        user["name"] = name
    if email := actor.email:
        if _is_email(email):
            user["email_addr"] = email
        else:
            rest.setdefault("actor", {})["email"] = email
    if credential := actor.credential:
        if credential.id:
            programmatic = {"uid": credential.id}
            if credential.type:
                programmatic["type"] = credential.type
            user["programmatic_credentials"] = [programmatic]
        elif credential.type:
            actor_rest = rest.setdefault("actor", {})
            actor_rest.setdefault("credential", {})["type"] = credential.type
    return user


def _request(context: Context, rest: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    if context.user_agent:
        request["user_agent"] = context.user_agent
    if context.request_id:
        request["uid"] = context.request_id
    if context.forwarded_for:
        forwarded = [ip for ip in map(address, context.forwarded_for) if ip]
        if len(forwarded) == len(context.forwarded_for):
            request["x_forwarded_for"] = forwarded
        if forwarded != context.forwarded_for:  # a port, another spelling, or no address
            rest.setdefault("context", {})["forwarded_for"] = context.forwarded_for
    return request


def _observables(delegate: Delegate) -> list[dict[str, Any]]:
    """Make the impersonated user searchable: OCSF has no attribute for one in every class."""
    found = (("id", 31, delegate.id), ("name", 4, delegate.name))
    return [
        {"name": f"unmapped.actor.on_behalf_of.{part}", "type_id": type_id, "value": value}
        for part, type_id, value in found
        if value
    ]
