"""`src_endpoint` of an OCSF event: from where, and on what device."""

from __future__ import annotations

from typing import Any

from auditbus.schemas.enriched import Device, Location
from auditbus.sinks.siem.encodings.view import View, address

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


def origin_of(view: View, rest: dict[str, Any]) -> dict[str, Any]:
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
        _add_device(view.device, endpoint)
    if view.location:
        _add_location(view.location, endpoint)
    if endpoint and "ip" not in endpoint:
        endpoint.setdefault("name", "unknown")
    return endpoint


def _add_device(device: Device, endpoint: dict[str, Any]) -> None:
    if device.type:
        endpoint["type_id"] = _DEVICE_TYPES.get(device.type, _OTHER)
        endpoint["type"] = device.type
    if device.os:
        system = {"name": device.os, "type_id": _SYSTEMS.get(device.os.lower(), _OTHER)}
        if device.os_version:
            system["version"] = device.os_version
        endpoint["os"] = system


def _add_location(place: Location, endpoint: dict[str, Any]) -> None:
    location: dict[str, Any] = {}
    if country := place.country_code or place.country:
        location["country"] = country
    if place.region:
        location["region"] = place.region
    if place.city:
        location["city"] = place.city
    if location:  # one of these three is needed
        _add_details(place, location)
        endpoint["location"] = location
    if place.asn is not None or place.as_organization:
        network: dict[str, Any] = {}
        endpoint["autonomous_system"] = network
        if place.asn is not None:
            network["number"] = place.asn
        if place.as_organization:
            network["name"] = place.as_organization


def _add_details(place: Location, location: dict[str, Any]) -> None:
    if place.latitude is not None:
        location["lat"] = place.latitude
    if place.longitude is not None:
        location["long"] = place.longitude
    if place.label:
        location["desc"] = place.label
    if place.database:
        location["provider"] = place.database
