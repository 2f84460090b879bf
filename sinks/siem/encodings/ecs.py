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
    users: list[str | None] = []
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
    ips = _add_context(view.context, body, own) if view.context else []
    if view.location:
        _add_location(view.location, body, own)
    if view.device:
        _add_device(view.device, body, own)
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


def _user(actor: Actor, own: dict[str, Any], users: list[str | None]) -> dict[str, Any]:
    user: dict[str, Any] = {}
    if actor.id:
        user["id"] = actor.id
    if actor.name:
        user["name"] = actor.name
    if actor.email:
        user["email"] = actor.email
    users += (actor.id, actor.name, actor.email)
    who: dict[str, Any] = {"type": actor.type}
    own["actor"] = who
    if credential := actor.credential:
        who["credential"] = _named(credential.type, credential.id, None)
    if delegate := actor.on_behalf_of:
        user["effective"] = _named(None, delegate.id, delegate.name)
        users += (delegate.id, delegate.name)
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
    targets: list[Target], body: dict[str, Any], own: dict[str, Any], users: list[str | None]
) -> None:
    own["targets"] = [_named(one.type, one.id, one.name) for one in targets]
    for target in targets:
        if target.type == "user":
            body.setdefault("user", {})["target"] = _named(None, target.id, target.name)
            users += (target.id, target.name)
            return


def _add_context(context: Context, body: dict[str, Any], own: dict[str, Any]) -> list[str | None]:
    """Return the addresses in it."""
    ips: list[str | None] = []
    if context.ip:
        body["source"] = source = {"address": context.ip}
        if ip := address(context.ip):
            source["ip"] = ip
            ips.append(ip)
    if context.forwarded_for:
        own["forwarded_for"] = context.forwarded_for
        ips += map(address, context.forwarded_for)
    if context.user_agent:
        body["user_agent"] = {"original": context.user_agent}
    if context.request_id:
        body["http"] = {"request": {"id": context.request_id}}
    if context.trace_id:
        body["trace"] = {"id": context.trace_id}
    if context.session_id:
        own["session_id"] = context.session_id
    return ips


def _add_location(place: Location, body: dict[str, Any], own: dict[str, Any]) -> None:
    geo: dict[str, Any] = {}
    if place.country_code:
        geo["country_iso_code"] = place.country_code
    if place.country:
        geo["country_name"] = place.country
    if place.region:
        geo["region_name"] = place.region
    if place.city:
        geo["city_name"] = place.city
    if place.label:
        geo["name"] = place.label
    if point := _point(place.latitude, place.longitude):
        geo["location"] = point
    if geo:
        body.setdefault("source", {})["geo"] = geo
    if place.database:
        own["location"] = {"database": place.database}
    if network := _network(place):
        body.setdefault("source", {})["as"] = network


def _point(latitude: float | None, longitude: float | None) -> dict[str, float] | None:
    if latitude is None or longitude is None:
        return None
    if abs(latitude) > _MAX_LATITUDE or abs(longitude) > _MAX_LONGITUDE:
        return None
    return {"lat": latitude, "lon": longitude}


def _network(place: Location) -> dict[str, Any]:
    network: dict[str, Any] = {}
    if place.asn is not None and place.asn in _LONG:
        network["number"] = place.asn
    if place.as_organization:
        network["organization"] = {"name": place.as_organization}
    return network


def _add_device(device: Device, body: dict[str, Any], own: dict[str, Any]) -> None:
    agent = body.setdefault("user_agent", {})
    if device.browser:
        agent["name"] = device.browser
    if device.browser_version:
        agent["version"] = device.browser_version
    if device.os:
        agent["os"] = _system(device.os, device.os_version)
    if device.model:
        agent["device"] = {"name": device.model}
    left: dict[str, Any] = {}
    own["device"] = left
    if device.type:
        left["type"] = device.type
    if device.brand:
        left["brand"] = device.brand
    if device.label:
        left["label"] = device.label
    if device.is_bot is not None:
        left["is_bot"] = device.is_bot


def _system(name: str, version: str | None) -> dict[str, str]:
    system = {"name": name}
    if version:
        system["version"] = version
    if word := _SYSTEMS.get(name.lower()):
        system["type"] = word
    return system


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
        if producer.seq in _LONG:
            about["sequence"] = producer.seq
        else:
            own["producer_seq"] = str(producer.seq)


def _add_related(body: dict[str, Any], users: list[str | None], ips: list[str | None]) -> None:
    related = {}
    if names := list(dict.fromkeys(filter(None, users))):
        related["user"] = names
    if addresses := list(dict.fromkeys(filter(None, ips))):
        related["ip"] = addresses
    if related:
        body["related"] = related


def _add_anything(view: View, fields: dict[str, Any], own: dict[str, Any]) -> None:
    """Add what may have any shape, as JSON text."""
    if view.changes:
        own["changes"] = to_json(fields["changes"]).decode()
    if view.metadata:
        own["metadata"] = to_json(view.metadata).decode()
    if rest := _MAPPED.rest(view, fields):
        own["unmapped"] = to_json(rest).decode()
