"""Elastic Common Schema 9.4, one JSON object an event: https://www.elastic.co/docs/reference/ecs .

What ECS has no field for stands under `auditbus`, a namespace of our own. What may have any shape
there (`changes`, `metadata`, unknown fields) is JSON text: as objects, a number in one event and
text under the same key in the next would make an index refuse the second.
"""

from __future__ import annotations

from typing import Any

from auditbus.schemas.enriched import Device, Location
from auditbus.schemas.event import Actor, Context, ProducerStamp, Target
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem.encodings.classification import Kind, kind_of
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.remainder import WHOLE, Mapped, remainder
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS
from auditbus.sinks.siem.encodings.view import (
    View,
    address,
    epoch_ms,
    read_view,
    received_ms,
    to_json,
)

__all__ = ["ECS_VERSION", "encode_ecs"]

ECS_VERSION = "9.4.0"

_ECS = {"version": ECS_VERSION}
_LONG = range(-(2**63), 2**63)  # what Elasticsearch's type `long` holds
_MAX_LATITUDE, _MAX_LONGITUDE = 90, 180  # a geo_point beyond them is refused
_SYSTEMS = {  # user_agent.os.type, where ECS has a word for it
    "windows": "windows",
    "mac os x": "macos",
    "macos": "macos",
    "linux": "linux",
    "ubuntu": "linux",
    "debian": "linux",
    "fedora": "linux",
    "android": "android",
    "ios": "ios",
}
_MAPPED: Mapped = {
    **dict.fromkeys(
        (
            *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
            *("received_at", "category", "operation", "targets", "changes", "metadata", "origin"),
        ),
        WHOLE,
    ),
    "account": frozenset({"id", "name"}),
    "actor": frozenset({"type", "id", "name", "email", "credential", "on_behalf_of"}),
    "error": frozenset({"code", "message"}),
    "context": frozenset(
        {"ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"}
    ),
    "location": frozenset(
        {
            *("country_code", "country", "region", "city", "label", "asn", "as_organization"),
            *("latitude", "longitude"),
        }
    ),
    "device": frozenset(Device.__struct_fields__),
    "producer": frozenset({"service", "version", "instance", "seq"}),
}


def encode_ecs(event: Event) -> bytes:
    """Return one ECS document. Raises Unencodable with the field to blame."""
    view = read_view(event)
    kind = kind_of(view)
    epoch_ms(view)  # an index refuses a document whose @timestamp is no time
    own: dict[str, Any] = {
        "category": kind.category,
        "operation": kind.operation,
        "severity": kind.severity,
    }
    users: list[str | None] = []
    body: dict[str, Any] = {
        "@timestamp": view.occurred_at,
        "ecs": _ECS,
        "message": view.description or kind.description,
        "event": _event(view, event, kind),
        "auditbus": own,
    }
    if view.account:
        body["organization"] = _filled(id=view.account.id, name=view.account.name)
    if view.actor:
        body["user"] = _user(view.actor, own, users)
    if view.targets:
        _add_targets(view.targets, body, own, users)
    if view.context:
        _add_context(view.context, body, own)
    if view.location:
        _add_location(view.location, body)
    if view.device:
        _add_device(view.device, body, own)
    if view.error and (error := _filled(code=view.error.code, message=view.error.message)):
        body["error"] = error
    if view.producer:
        _add_service(view.producer, body, own)
    if view.origin:
        own["origin"] = event.fields["origin"]
    _add_related(body, users)
    _add_texts(event.fields, own)
    return to_json(body)


def _event(view: View, event: Event, kind: Kind) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": "event",
        "id": view.id,
        "action": kind.action,
        "category": (kind.ecs_category,),
        "type": kind.ecs_types,
        "outcome": view.effective_outcome,
        "severity": SEVERITY_NUMBERS[kind.severity],
        "module": "auditbus",
        "dataset": "auditbus.events",
    }
    if view.received_at:
        received_ms(view, event)
        fields["created"] = view.received_at
    elif event.timestamp_ms >= 0:
        fields["created"] = format_epoch_ms(event.timestamp_ms)
    if producer := view.producer:
        if producer.service:
            fields["provider"] = producer.service
        if producer.seq is not None and producer.seq in _LONG:
            fields["sequence"] = producer.seq
    return fields


def _user(actor: Actor, own: dict[str, Any], users: list[str | None]) -> dict[str, Any]:
    user: dict[str, Any] = _filled(id=actor.id, name=actor.name, email=actor.email)
    users += (actor.id, actor.name, actor.email)
    own["actor"] = {"type": actor.type}
    if (credential := actor.credential) and (
        part := _filled(type=credential.type, id=credential.id)
    ):
        own["actor"]["credential"] = part
    if delegate := actor.on_behalf_of:
        if effective := _filled(id=delegate.id, name=delegate.name):
            user["effective"] = effective
            users += (delegate.id, delegate.name)
        if delegate.type:
            own["actor"]["on_behalf_of"] = {"type": delegate.type}
    return user


def _add_targets(
    targets: list[Target], body: dict[str, Any], own: dict[str, Any], users: list[str | None]
) -> None:
    own["targets"] = [_filled(type=one.type, id=one.id, name=one.name) for one in targets]
    for target in targets:
        if target.type == "user" and (target.id or target.name):
            body.setdefault("user", {})["target"] = _filled(id=target.id, name=target.name)
            users += (target.id, target.name)
            return


def _add_context(context: Context, body: dict[str, Any], own: dict[str, Any]) -> None:
    if context.ip:
        body["source"] = source = {"address": context.ip}
        if ip := address(context.ip):
            source["ip"] = ip
    if context.forwarded_for:
        own["forwarded_for"] = context.forwarded_for
    if context.user_agent:
        body["user_agent"] = {"original": context.user_agent}
    if context.request_id:
        body["http"] = {"request": {"id": context.request_id}}
    if context.trace_id:
        body["trace"] = {"id": context.trace_id}
    if context.session_id:
        own["session_id"] = context.session_id


def _add_location(place: Location, body: dict[str, Any]) -> None:
    geo: dict[str, Any] = _filled(
        country_iso_code=place.country_code,
        country_name=place.country,
        region_name=place.region,
        city_name=place.city,
        name=place.label,
    )
    latitude, longitude = place.latitude, place.longitude
    if (
        latitude is not None
        and longitude is not None
        and abs(latitude) <= _MAX_LATITUDE
        and abs(longitude) <= _MAX_LONGITUDE
    ):
        geo["location"] = {"lat": latitude, "lon": longitude}
    network: dict[str, Any] = {}
    if place.asn is not None and place.asn in _LONG:
        network["number"] = place.asn
    if place.as_organization:
        network["organization"] = {"name": place.as_organization}
    if geo:
        body.setdefault("source", {})["geo"] = geo
    if network:
        body.setdefault("source", {})["as"] = network


def _add_device(device: Device, body: dict[str, Any], own: dict[str, Any]) -> None:
    agent: dict[str, Any] = _filled(name=device.browser, version=device.browser_version)
    if device.os:
        agent["os"] = _filled(
            name=device.os, version=device.os_version, type=_SYSTEMS.get(device.os.lower())
        )
    if device.model:
        agent["device"] = {"name": device.model}
    if agent:
        body.setdefault("user_agent", {}).update(agent)
    if left := _filled(type=device.type, brand=device.brand, label=device.label):
        own["device"] = left
    if device.is_bot is not None:
        own.setdefault("device", {})["is_bot"] = device.is_bot


def _add_service(producer: ProducerStamp, body: dict[str, Any], own: dict[str, Any]) -> None:
    service: dict[str, Any] = _filled(name=producer.service, version=producer.version)
    if producer.instance:
        service["node"] = {"name": producer.instance}
    if service:
        body["service"] = service
    if producer.seq is not None and producer.seq not in _LONG:
        own["sequence"] = str(producer.seq)


def _add_related(body: dict[str, Any], users: list[str | None]) -> None:
    related: dict[str, Any] = {}
    if names := [name for name in dict.fromkeys(users) if name]:
        related["user"] = names
    forwarded = body["auditbus"].get("forwarded_for", ())
    ips = [body.get("source", {}).get("ip"), *map(address, forwarded)]
    if found := [ip for ip in dict.fromkeys(ips) if ip]:
        related["ip"] = found
    if related:
        body["related"] = related


def _add_texts(fields: dict[str, Any], own: dict[str, Any]) -> None:
    """Add what may have any shape, as JSON text."""
    for name in ("changes", "metadata"):
        if value := fields.get(name):
            own[name] = to_json(value).decode()
    if rest := remainder(fields, _MAPPED):
        own["unmapped"] = to_json(rest).decode()


def _filled(**parts: str | None) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value}
