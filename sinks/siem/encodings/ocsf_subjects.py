"""What an OCSF event is about, by class: each function adds what its class asks for.

Attributes that a class requires and an event does not have get what is true of it: the category,
the actor, or `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auditbus.schemas.event import Target
from auditbus.sinks.siem.encodings.classification import Kind
from auditbus.sinks.siem.encodings.view import View

__all__ = ["SUBJECTS"]

Body = dict[str, Any]

_UNKNOWN = {"name": "unknown"}
_ENTITY_TYPES = {"device": 1, "user": 2, "group": 3, "organization": 4, "policy": 5, "email": 6}
_OTHER = 99


def _account_change(body: Body, view: View, _: Kind) -> None:
    """`user` is the one that was changed: a target, else the actor itself."""
    target = _first(view, "user") or (view.targets[0] if view.targets else None)
    body["user"] = _user(target) if target else body["actor"]["user"]


def _authentication(body: Body, view: View, _: Kind) -> None:
    """`user` is who is signed in from then on: the impersonated one where there is one."""
    delegate = view.actor.on_behalf_of if view.actor else None
    if delegate and (delegate.id or delegate.name):
        body["user"] = _named(None, delegate.id, delegate.name, "unknown")
    else:
        body["user"] = body["actor"]["user"]
    body["service"] = _service(view) or _UNKNOWN
    if session := body["actor"].get("session"):
        body["session"] = session


def _entity_management(body: Body, view: View, kind: Kind) -> None:
    target = view.targets[0] if view.targets else None
    type_name = (target and target.type) or kind.category
    entity: dict[str, Any] = (
        _named(None, target.id, target.name, type_name) if target else {"name": kind.category}
    )
    entity["type"] = type_name
    entity["type_id"] = _ENTITY_TYPES.get(type_name, _OTHER)
    body["entity"] = entity


def _group_management(body: Body, view: View, kind: Kind) -> None:
    group = _first(view, "group") or (view.targets[0] if view.targets else None)
    body["group"] = _resource(group, kind) if group else _UNKNOWN
    if user := _first(view, "user"):
        body["user"] = _user(user)


def _web_resources(body: Body, view: View, kind: Kind) -> None:
    body["web_resources"] = _resources(view, kind) or [{"name": kind.category}]


def _api_activity(body: Body, view: View, kind: Kind) -> None:
    api: dict[str, Any] = {"operation": kind.action}
    if service := _service(view):
        api["service"] = service
    if view.context and view.context.request_id:
        api["request"] = {"uid": view.context.request_id}
    body["api"] = api
    if resources := _resources(view, kind):
        body["resources"] = resources
    body.setdefault("src_endpoint", _UNKNOWN)


def _file_hosting(body: Body, view: View, kind: Kind) -> None:
    target = view.targets[0] if view.targets else Target()
    file = {
        "name": target.name or target.id or "unknown",
        "type_id": _OTHER,
        "type": target.type or kind.category,
    }
    if target.id:
        file["uid"] = target.id
    body["file"] = file
    body.setdefault("src_endpoint", _UNKNOWN)


def _first(view: View, type_name: str) -> Target | None:
    return next((target for target in view.targets or () if target.type == type_name), None)


def _resources(view: View, kind: Kind) -> list[dict[str, Any]]:
    return [_resource(target, kind) for target in view.targets or ()]


def _resource(target: Target, kind: Kind) -> dict[str, Any]:
    return _named(target.type, target.id, target.name, target.type or kind.category)


def _user(target: Target) -> dict[str, Any]:
    return _named(None, target.id, target.name, "unknown")


def _service(view: View) -> dict[str, Any] | None:
    """Return the service that published the event: to it the user signed in, it was called."""
    producer = view.producer
    if not producer or not producer.service:
        return None
    if producer.version:
        return {"name": producer.service, "version": producer.version}
    return {"name": producer.service}


def _named(
    type_name: str | None, uid: str | None, name: str | None, fallback: str
) -> dict[str, Any]:
    """Return an object with `uid` or `name`, of which OCSF wants at least one."""
    named = {}
    if uid:
        named["uid"] = uid
    if name or not uid:
        named["name"] = name or fallback
    if type_name:
        named["type"] = type_name
    return named


SUBJECTS: Mapping[int, Callable[[Body, View, Kind], None]] = {
    3001: _account_change,
    3002: _authentication,
    3004: _entity_management,
    3006: _group_management,
    6001: _web_resources,
    6003: _api_activity,
    6006: _file_hosting,
}
