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
from auditbus.schemas.catalogue import Severity
from auditbus.schemas.event import Actor
from auditbus.sinks.siem.encodings.classification import OCSF_CLASSES, Kind, kind_of
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.ocsf_subjects import SUBJECTS
from auditbus.sinks.siem.encodings.remainder import WHOLE, Mapped, remainder
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["OCSF_VERSION", "encode_ocsf"]

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
_DEVICE_TYPES = {"desktop": 2, "tablet": 4, "mobile": 5}
_OTHER = 99
_SYSTEMS = {
    "windows": 100,
    "linux": 200,
    "ubuntu": 200,
    "debian": 200,
    "fedora": 200,
    "android": 201,
    "mac os x": 300,
    "macos": 300,
    "ios": 301,
    "ipados": 302,
}
# The pattern of OCSF's email_t. Another spelling of an address stays in `unmapped`.
_is_email = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+").fullmatch

_MAPPED: Mapped = {
    **dict.fromkeys(
        (
            *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
            *("received_at", "category", "operation", "targets"),
        ),
        WHOLE,
    ),
    "account": frozenset({"id"}),
    "actor": frozenset({"type", "id", "name", "email", "credential"}),
    "error": frozenset({"code", "message"}),
    "context": frozenset(
        {"ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"}
    ),
    "location": frozenset(
        {
            *("country_code", "region", "city", "latitude", "longitude", "label", "database"),
            *("asn", "as_organization"),
        }
    ),
    "device": frozenset({"type", "os", "os_version"}),
    "producer": frozenset({"seq"}),
}
# How many targets a class has room for; of those of 3001 and 3002, the type would be lost.
_TARGETS_MAPPED = {3001: 0, 3002: 0, 3004: 1, 3006: 1, 6001: 1_000, 6003: 1_000, 6006: 1}
_TARGET_PARTS = {"type", "id", "name"}


def encode_ocsf(event: Event) -> bytes:
    """Return one OCSF event. Raises Unencodable with the field to blame."""
    view = read_view(event)
    kind = kind_of(view)
    actor = view.actor
    rest = remainder(event.fields, _MAPPED)
    status_id, status = _STATUSES[view.effective_outcome]
    user = _user(actor, rest)
    body = {
        **_frame(kind),
        "time": epoch_ms(view),
        "message": view.description or kind.description,
        "status_id": status_id,
        "status": status,
        "metadata": _metadata(view, event, kind),
        "actor": {"user": user},
    }
    if error := view.error:
        if error.code:
            body["status_code"] = error.code
        if error.message:
            body["status_detail"] = error.message
    endpoint = _endpoint(view, rest)
    if context := view.context:
        if context.session_id:
            body["actor"]["session"] = {"uid": context.session_id}
        if request := _request(view, rest):
            body["http_request"] = request
    if endpoint:
        body["src_endpoint"] = endpoint
    SUBJECTS[kind.ocsf_class](body, view, kind)
    if targets := event.fields.get("targets"):
        if len(targets) > _TARGETS_MAPPED[kind.ocsf_class] or not all(map(_is_plain, targets)):
            rest["targets"] = targets
    if actor and actor.on_behalf_of:
        body["observables"] = _observables(actor)
    if rest:
        body["unmapped"] = rest
    return to_json(body)


def _is_plain(target: dict[str, Any]) -> bool:
    return target.keys() <= _TARGET_PARTS


@lru_cache(maxsize=4_096)
def _frame(kind: Kind) -> dict[str, Any]:
    severity_id, severity = _SEVERITIES[kind.severity]
    return {
        "class_uid": kind.ocsf_class,
        "class_name": OCSF_CLASSES[kind.ocsf_class],
        "category_uid": kind.ocsf_class // 1000,
        "activity_id": kind.ocsf_activity,
        "activity_name": kind.ocsf_activity_name,
        "type_uid": kind.ocsf_class * 100 + kind.ocsf_activity,
        "severity_id": severity_id,
        "severity": severity,
    }


def _metadata(view: View, event: Event, kind: Kind) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "version": OCSF_VERSION,
        "product": _PRODUCT,
        "uid": view.id,
        "event_code": kind.action,
        "original_time": view.occurred_at,
    }
    if kind.ocsf_class == 6001:  # noqa: PLR2004  # as the table has it
        metadata["profiles"] = ["host"]
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
            rest.setdefault("actor", {})["credential"] = {"type": credential.type}
    return user


def _endpoint(view: View, rest: dict[str, Any]) -> dict[str, Any]:
    """Return where the event came from; empty where nothing is known of it."""
    endpoint: dict[str, Any] = {}
    text = view.context.ip if view.context else None
    if ip := address(text):
        endpoint["ip"] = ip
        if ip != text:
            rest.setdefault("context", {})["ip"] = text
    elif text:
        endpoint["name"] = text
    if (device := view.device) and device.type:
        endpoint["type_id"] = _DEVICE_TYPES.get(device.type, _OTHER)
        endpoint["type"] = device.type
    if device and device.os:
        endpoint["os"] = system = {
            "name": device.os,
            "type_id": _SYSTEMS.get(device.os.lower(), _OTHER),
        }
        if device.os_version:
            system["version"] = device.os_version
    if place := view.location:
        location = {
            name: value
            for name, value in (
                ("country", place.country_code),
                ("region", place.region),
                ("city", place.city),
                ("lat", place.latitude),
                ("long", place.longitude),
                ("desc", place.label),
                ("provider", place.database),
            )
            if value is not None and value != ""
        }
        if location:
            endpoint["location"] = location
        network = {}
        if place.asn is not None:
            network["number"] = place.asn
        if place.as_organization:
            network["name"] = place.as_organization
        if network:
            endpoint["autonomous_system"] = network
    if endpoint and "ip" not in endpoint:
        endpoint.setdefault("name", "unknown")
    return endpoint


def _request(view: View, rest: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    context = view.context
    if context is None:
        return request
    if context.user_agent:
        request["user_agent"] = context.user_agent
    if context.request_id:
        request["uid"] = context.request_id
    if context.forwarded_for:
        forwarded = [ip for ip in map(address, context.forwarded_for) if ip]
        if len(forwarded) == len(context.forwarded_for):
            request["x_forwarded_for"] = forwarded
        else:
            rest.setdefault("context", {})["forwarded_for"] = context.forwarded_for
    return request


def _observables(actor: Actor) -> list[dict[str, Any]]:
    """Make the impersonated user searchable: OCSF has no attribute for one in every class."""
    delegate = actor.on_behalf_of
    found = (("id", 31, delegate and delegate.id), ("name", 4, delegate and delegate.name))
    return [
        {"name": f"unmapped.actor.on_behalf_of.{part}", "type_id": type_id, "value": value}
        for part, type_id, value in found
        if value
    ]
