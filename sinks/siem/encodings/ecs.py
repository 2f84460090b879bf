"""Elastic Common Schema 9.4, one JSON object an event: https://www.elastic.co/docs/reference/ecs .

What ECS has no field for stands under `auditbus`, a namespace of our own. What may have any shape
there (`changes`, `metadata`, unknown fields) is JSON text: as objects, a number in one event and
text under the same key in the next would make an index refuse the second.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.enriched import Device, Location
from auditbus.schemas.event import Actor, Context, ProducerStamp, Target
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem.encodings.classification import Kind, look_up
from auditbus.sinks.siem.encodings.ecs_origin import LONG, add_device, add_location
from auditbus.sinks.siem.encodings.event import Encoder, Event
from auditbus.sinks.siem.encodings.remainder import Mapped
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["ECS_VERSION", "ecs_encoder"]

ECS_VERSION = "9.4.0"

_MAPPED = Mapped(
    whole=(
        *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
        *("received_at", "category", "operation", "targets", "changes", "metadata"),
        *("origin",),
    ),
    parts={
        "account": ("id", "name"),
        "actor": ("type", "id", "name", "email", "credential", "on_behalf_of"),
        "error": ("code", "message"),
        "context": ("ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"),
        "location": Location.__struct_fields__,
        "device": Device.__struct_fields__,
        "producer": ProducerStamp.__struct_fields__,
    },
)


def ecs_encoder(catalogue: Catalogue) -> Encoder:
    """Return the function that makes an event one ECS document."""

    @lru_cache(maxsize=4_096)
    def frame(action: str, category: str | None, operation: str | None) -> tuple[bytes, Kind]:
        kind = look_up(catalogue, action, category, operation)
        return _frame(kind), kind

    def encode(event: Event) -> bytes:
        view = read_view(event)
        head, kind = frame(view.action, view.category, view.operation)
        about = _about(view, event)
        body = _body(view, event, kind, about)
        return b"%b,%b,%b" % (head, to_json(about)[1:], to_json(body)[1:])

    return encode


def _frame(kind: Kind) -> bytes:
    """Return how every document of a kind begins, up to the first members of `event`."""
    event = {
        "kind": "event",
        "action": kind.action,
        "category": (kind.ecs_category,),
        "type": kind.ecs_types,
        "severity": SEVERITY_NUMBERS[kind.severity],
        "module": "auditbus",
        "dataset": "auditbus.events",
    }
    return to_json({"ecs": {"version": ECS_VERSION}, "event": event})[: -len(b"}}")]


def _about(view: View, event: Event) -> dict[str, Any]:
    """Return what differs in `event` from one event of a kind to the next."""
    about: dict[str, Any] = {"id": view.id, "outcome": view.effective_outcome}
    if (received := received_ms(view, event)) is not None:
        about["created"] = view.received_at or format_epoch_ms(received)
    return about


def _body(view: View, event: Event, kind: Kind, about: dict[str, Any]) -> dict[str, Any]:
    epoch_ms(view)  # an index refuses a document whose @timestamp is no time
    own: dict[str, Any] = {
        "category": kind.category,
        "operation": kind.operation,
        "severity": kind.severity,
    }
    # The keys are every name of a person, in this order and each once.
    users: dict[str | None, None] = {}
    body: dict[str, Any] = {
        "@timestamp": view.occurred_at,
        "message": view.description or kind.description,
        "auditbus": own,
    }
    if account := view.account:
        body["organization"] = _named(None, account.id, account.name)
    if view.actor:
        body["user"] = _user(view.actor, own, users)
    if view.targets:
        _add_targets(view.targets, body, own, users)
    ips = _add_context(view.context, body, own) if view.context else {}
    if view.location:
        add_location(view.location, event, body, own)
    if view.device:
        add_device(view.device, event, body, own)
    if error := view.error:
        body["error"] = {
            name: text for name, text in (("code", error.code), ("message", error.message)) if text
        }
    if view.producer:
        _add_service(view.producer, body, own, about)
    if view.origin:
        own["origin"] = event.fields["origin"]
    _add_related(body, users, ips)
    _add_anything(view, event.fields, own)
    return body


def _user(actor: Actor, own: dict[str, Any], users: dict[str | None, None]) -> dict[str, Any]:
    user: dict[str, Any] = {}
    if actor.id:
        user["id"] = actor.id
    if actor.name:
        user["name"] = actor.name
    if actor.email:
        user["email"] = actor.email
    users[actor.id] = users[actor.name] = users[actor.email] = None
    who: dict[str, Any] = {"type": actor.type}
    own["actor"] = who
    if credential := actor.credential:
        who["credential"] = _named(credential.type, credential.id, None)
    if delegate := actor.on_behalf_of:
        user["effective"] = _named(None, delegate.id, delegate.name)
        users[delegate.id] = users[delegate.name] = None
        if delegate.type:
            who["on_behalf_of"] = {"type": delegate.type}
    return user


def _named(type_name: str | None, uid: str | None, name: str | None) -> dict[str, Any]:
    named = {}
    if type_name:
        named["type"] = type_name
    if uid:
        named["id"] = uid
    if name:
        named["name"] = name
    return named


def _add_targets(
    targets: list[Target], body: dict[str, Any], own: dict[str, Any], users: dict[str | None, None]
) -> None:
    own["targets"] = [_named(one.type, one.id, one.name) for one in targets]
    for target in targets:
        if target.type == "user":
            body.setdefault("user", {})["target"] = _named(None, target.id, target.name)
            users[target.id] = users[target.name] = None
            return


def _add_context(
    context: Context, body: dict[str, Any], own: dict[str, Any]
) -> dict[str | None, None]:
    """Return the addresses in it, as keys."""
    ips: dict[str | None, None] = {}
    if context.ip:
        body["source"] = source = {"address": context.ip}
        if ip := address(context.ip):
            source["ip"] = ip
            ips[ip] = None
    if context.forwarded_for:
        own["forwarded_for"] = context.forwarded_for
        ips.update(dict.fromkeys(map(address, context.forwarded_for)))
    if context.user_agent:
        body["user_agent"] = {"original": context.user_agent}
    if context.request_id:
        body["http"] = {"request": {"id": context.request_id}}
    if context.trace_id:
        body["trace"] = {"id": context.trace_id}
    if context.session_id:
        own["session_id"] = context.session_id
    return ips


def _add_service(
    producer: ProducerStamp, body: dict[str, Any], own: dict[str, Any], about: dict[str, Any]
) -> None:
    service: dict[str, Any] = {}
    if producer.service:
        service["name"] = about["provider"] = producer.service
    if producer.version:
        service["version"] = producer.version
    if producer.instance:
        service["node"] = {"name": producer.instance}
    if service:
        body["service"] = service
    if producer.epoch is not None:
        own["producer_epoch"] = str(producer.epoch)
    if producer.seq is not None:
        if producer.seq in LONG:
            about["sequence"] = producer.seq
        else:
            own["producer_seq"] = str(producer.seq)


def _add_related(
    body: dict[str, Any], users: dict[str | None, None], ips: dict[str | None, None]
) -> None:
    for names in (users, ips):
        names.pop(None, None)
        names.pop("", None)
    if users:
        body["related"] = {"user": list(users), "ip": list(ips)} if ips else {"user": list(users)}
    elif ips:
        body["related"] = {"ip": list(ips)}


def _add_anything(view: View, fields: dict[str, Any], own: dict[str, Any]) -> None:
    """Add what may have any shape, as JSON text."""
    if view.changes:
        own["changes"] = to_json(fields["changes"]).decode()
    if view.metadata:
        own["metadata"] = to_json(view.metadata).decode()
    if rest := _MAPPED.rest(view, fields):
        own["unmapped"] = to_json(rest).decode()
