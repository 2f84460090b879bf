"""`source` and `user_agent` of an ECS document: from where, and on what device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from auditbus.schemas.enriched import Device, Location
from auditbus.sinks.siem.encodings.caching import CACHED, cached
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.view import to_json

__all__ = ["LONG", "add_device", "add_location"]

LONG = range(-(2**63), 2**63)
"""What Elasticsearch's type `long` holds."""

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


def add_location(place: Location, event: Event, body: dict[str, Any], own: dict[str, Any]) -> None:
    """Add where an event came from: to `source`, and what ECS has no field for to `own`."""
    members, left = cached(_located, place, event)
    if members:
        body.setdefault("source", {}).update(members)
    if left:
        own["location"] = left


@lru_cache(maxsize=CACHED)
def _located(place: Location) -> tuple[dict[str, orjson.Fragment], orjson.Fragment | None]:
    """Return what a place adds to `source`, and what ECS has no field for or no room in."""
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
    members = {"geo": geo, "as": _network(place)}
    fragments = {name: orjson.Fragment(to_json(one)) for name, one in members.items() if one}
    left = _unsaid(place, geo, members["as"])
    return fragments, orjson.Fragment(to_json(left)) if left else None


def _unsaid(place: Location, geo: dict[str, Any], network: dict[str, Any]) -> dict[str, str]:
    """Return what is left of a place; numbers as text, since no type of an index holds them all."""
    left = {"database": place.database} if place.database else {}
    numbers: dict[str, float | None] = {}
    if "location" not in geo:
        numbers |= {"latitude": place.latitude, "longitude": place.longitude}
    if "number" not in network:
        numbers["asn"] = place.asn
    return left | {name: str(number) for name, number in numbers.items() if number is not None}


def _point(latitude: float | None, longitude: float | None) -> dict[str, float] | None:
    if latitude is None or longitude is None:
        return None
    if abs(latitude) > _MAX_LATITUDE or abs(longitude) > _MAX_LONGITUDE:
        return None
    return {"lat": latitude, "lon": longitude}


def _network(place: Location) -> dict[str, Any]:
    network: dict[str, Any] = {}
    if place.asn is not None and place.asn in LONG:
        network["number"] = place.asn
    if place.as_organization:
        network["organization"] = {"name": place.as_organization}
    return network


def add_device(device: Device, event: Event, body: dict[str, Any], own: dict[str, Any]) -> None:
    """Add on what device: to `user_agent`, and what ECS has no field for to `own`."""
    agent, own["device"] = cached(_devices, device, event)
    body.setdefault("user_agent", {}).update(agent)


@lru_cache(maxsize=CACHED)
def _devices(device: Device) -> tuple[dict[str, Any], orjson.Fragment]:
    """Return what a device adds to `user_agent`, and what ECS has no field for."""
    agent: dict[str, Any] = {}
    if device.browser:
        agent["name"] = device.browser
    if device.browser_version:
        agent["version"] = device.browser_version
    if device.os:
        agent["os"] = orjson.Fragment(to_json(_system(device.os, device.os_version)))
    if device.model:
        agent["device"] = {"name": device.model}
    left: dict[str, Any] = {}
    if device.os_version and not device.os:
        left["os_version"] = device.os_version
    if device.type:
        left["type"] = device.type
    if device.brand:
        left["brand"] = device.brand
    if device.label:
        left["label"] = device.label
    if device.is_bot is not None:
        left["is_bot"] = device.is_bot
    return agent, orjson.Fragment(to_json(left))


def _system(name: str, version: str | None) -> dict[str, str]:
    system = {"name": name}
    if version:
        system["version"] = version
    if word := _SYSTEMS.get(name.lower()):
        system["type"] = word
    return system
