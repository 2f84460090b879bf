"""`src_endpoint` of an OCSF event: from where, and on what device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from auditbus.schemas.enriched import Device, Location
from auditbus.sinks.siem.encodings.caching import CACHED, cached
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.view import View, address, to_json

__all__ = ["origin_of"]

_OTHER = 99
_DEVICE_TYPES = {"desktop": 2, "tablet": 4, "mobile": 5}
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


def origin_of(view: View, event: Event, rest: dict[str, Any]) -> dict[str, Any]:
    """Return the endpoint, empty where nothing is known of it.

    An address that is none is its `name`; one that is written another way is kept in `rest`, too.
    """
    endpoint: dict[str, Any] = {}
    text = view.context.ip if view.context else None
    if ip := address(text):
        endpoint["ip"] = ip
        if ip != text:
            rest.setdefault("context", {})["ip"] = text
    elif text:
        endpoint["name"] = text
    if view.device:
        endpoint |= cached(_device, view.device, event)
    if view.location:
        endpoint |= cached(_place, view.location, event)
        if "location" not in endpoint and (unsaid := _unsaid(view.location)):
            rest.setdefault("location", {}).update(unsaid)
    if endpoint and "ip" not in endpoint:
        endpoint.setdefault("name", "unknown")
    return endpoint


@lru_cache(maxsize=CACHED)
def _device(device: Device) -> dict[str, Any]:
    """Return what a device adds to the endpoint."""
    members: dict[str, Any] = {}
    if device.type:
        members["type_id"] = _DEVICE_TYPES.get(device.type, _OTHER)
        members["type"] = device.type
    if device.os:
        system = {"name": device.os, "type_id": _SYSTEMS.get(device.os.lower(), _OTHER)}
        if device.os_version:
            system["version"] = device.os_version
        members["os"] = orjson.Fragment(to_json(system))
    return members


@lru_cache(maxsize=CACHED)
def _place(place: Location) -> dict[str, Any]:
    """Return what a place adds to the endpoint."""
    members: dict[str, Any] = {}
    location: dict[str, Any] = {}
    if country := place.country_code or place.country:
        location["country"] = country
    if place.region:
        location["region"] = place.region
    if place.city:
        location["city"] = place.city
    if location:  # one of these three is needed
        location |= {name: value for name, value in _details(place).items() if value is not None}
        members["location"] = orjson.Fragment(to_json(location))
    if place.asn is not None or place.as_organization:
        network: dict[str, Any] = {}
        if place.asn is not None:
            network["number"] = place.asn
        if place.as_organization:
            network["name"] = place.as_organization
        members["autonomous_system"] = orjson.Fragment(to_json(network))
    return members


def _details(place: Location) -> dict[str, Any]:
    return {
        "lat": place.latitude,
        "long": place.longitude,
        "desc": place.label or None,
        "provider": place.database or None,
    }


def _unsaid(place: Location) -> dict[str, Any]:
    """Return what of a place without country, region and city OCSF has no room for."""
    parts = ("latitude", "longitude", "label", "database")
    return {part: value for part in parts if (value := getattr(place, part)) not in (None, "")}
