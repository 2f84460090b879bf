"""Who is acting, for whom, from where: bound once, and in every event that is emitted after.

What is bound follows the code through `await`, into new asyncio tasks and `asyncio.to_thread`, as
context variables do (PEP 567). A new thread begins with nothing bound: give it `carry(function)`.
Within a request (the middleware makes one) `bind` counts for the whole request, wherever in it the
service learns who is calling: in a dependency, a thread of the server's pool, another middleware.
Elsewhere `bind` counts for the thread or task, and `bound` always for its block.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

import msgspec

from auditbus.producers.tracing import current_trace_id
from auditbus.schemas.event import Account, Actor, Context

__all__ = [
    "BoundFields",
    "add_bound",
    "bind",
    "bound",
    "bound_request",
    "carry",
    "current",
    "unbind",
]

P = ParamSpec("P")
R = TypeVar("R")
Fields = dict[str, Any]
Members = Mapping[str, Any]
_NAMES = ("actor", "account", "context")


class BoundFields(TypedDict, total=False):
    """What can be bound. None hides what is bound further out; so does None within `context`."""

    actor: Actor | Members | None
    account: Account | Members | None
    context: Context | Members | None


class BoundMembers(dict[str, Any]):
    """Members as they were bound, never changed: what has once been judged need not be again."""

    __slots__ = ("clean_for",)

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self.clean_for: object = None
        """What has found no secret in them, a Redactor's inspection."""


class _Scope:
    """What is bound here; a request's scope is one object, which all its threads and tasks see."""

    __slots__ = ("_ready", "fields", "request")

    def __init__(self, fields: Fields, request: _Scope | None = None) -> None:
        self.fields = fields  # replaced, never changed: another thread may be reading it
        self.request = request
        self._ready: tuple[Fields, Fields | None, dict[str, BoundMembers]] | None = None

    def ready(self) -> dict[str, BoundMembers]:
        """Return what an event gets, made once for all events of the scope."""
        own, outer = self.fields, None if self.request is None else self.request.fields
        made = self._ready
        if made is None or made[0] is not own or made[1] is not outer:
            members = {
                name: BoundMembers(_without_none(value))
                for name, value in self.resolved().items()
                if value is not None
            }
            made = self._ready = (own, outer, members)
        return made[2]

    def resolved(self) -> Fields:
        if self.request is None or self.request is self:
            return self.fields
        return _overlaid(self.request.fields, self.fields)


_scope: ContextVar[_Scope | None] = ContextVar("auditbus_scope", default=None)


def bind(**fields: Unpack[BoundFields]) -> None:
    """Bind actor, account, or members of `context`, which are merged with those bound before.

    Lasts for the request; outside of one, for the thread or task; in a `bound` block, for the
    block. A thread of a pool keeps it for its next job: there, use `bound`. Raises TypeError for
    any other field.
    """
    new = _plain(fields)
    scope = _scope.get()
    if scope is None:
        _scope.set(_Scope(new))
    elif scope.request is scope:
        scope.fields = _overlaid(scope.fields, new)
    else:
        _scope.set(_Scope(_overlaid(scope.fields, new), scope.request))


def unbind(*names: str) -> None:
    """Forget `actor`, `account` or `context`, each where `bind` would put it; all, without names.

    Raises TypeError for another name.
    """
    for name in names:
        _known(name)
    bind(**dict.fromkeys(names or _NAMES))


@contextmanager
def bound(**fields: Unpack[BoundFields]) -> Iterator[None]:
    """Bind for a `with` block, in sync and async code alike, and restore what was bound before."""
    before = _scope.get()
    own = before.fields if before is not None and before.request is not before else {}
    request = None if before is None else before.request
    _scope.set(_Scope(_overlaid(own, _plain(fields)), request))
    try:
        yield
    finally:
        _scope.set(before)


@contextmanager
def bound_request(fields: Fields | None = None, scope: object = None) -> Iterator[object]:
    """Begin a request, or enter again the `scope` that an earlier call gave; for middleware."""
    before = _scope.get()
    if not isinstance(scope, _Scope):
        scope = _Scope(_overlaid({} if before is None else before.resolved(), fields or {}))
        scope.request = scope
    _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.set(before)


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` so that it runs with what is bound here and now, in whatever thread.

    Thread(target=carry(work)).start()
    pool.submit(carry(work), job)
    """
    scope = _scope.get()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        before = _scope.get()
        _scope.set(scope)
        try:
            return function(*args, **kwargs)
        finally:
            _scope.set(before)

    return carried


def current() -> Fields:
    """Return what an event emitted here would get: for the service's own logs. A copy."""
    fields: Fields = {}
    add_bound(fields)
    return copy.deepcopy({name: dict(members) for name, members in fields.items()})


def add_bound(fields: Fields) -> None:
    """Put what is bound into the event's `fields`, in place, where they say nothing themselves.

    `context` is merged member by member: the event's own, then the trace of OpenTelemetry's current
    span, then what is bound. None counts as nothing.
    """
    scope = _scope.get()
    trace_id = current_trace_id()
    if scope is None:
        if trace_id is None:
            return
        given: Mapping[str, Any] = {}
    else:
        given = scope.ready()
        if "actor" in given and fields.get("actor") is None:
            fields["actor"] = given["actor"]
        if "account" in given and fields.get("account") is None:
            fields["account"] = given["account"]
    context, own = given.get("context"), fields.get("context")
    if own is None and trace_id is None:
        if context:
            fields["context"] = context
    elif own is None or isinstance(own, dict | Context | Mapping):
        fields["context"] = _merged(context, own, trace_id)


def _merged(context: Members | None, own: Any, trace_id: str | None) -> Fields:
    merged = {} if context is None else {**context}
    if trace_id is not None:
        merged["trace_id"] = trace_id
    if isinstance(own, Context):
        own = msgspec.to_builtins(own)
    for name, value in (own or {}).items():
        if value is not None:
            merged[name] = value  # noqa: PERF403 -- in place is quicker than three dictionaries
    return merged


def _without_none(members: Members) -> Fields:
    return {name: value for name, value in members.items() if value is not None}


def _overlaid(under: Fields, over: Fields) -> Fields:
    merged = {**under, **over}
    below, above = under.get("context"), over.get("context")
    if below and above:
        merged["context"] = {**below, **above}
    return merged


def _plain(fields: Mapping[str, Any]) -> Fields:
    """Return copies, so that what a service changes later is not changed here."""
    return {_known(name): _members(name, value) for name, value in fields.items()}


def _members(name: str, value: Any) -> Fields | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = dict(value)
    elif not isinstance(value, msgspec.Struct):
        raise TypeError(f"{name}: a mapping or its structure, not {type(value).__name__}")
    copied: Fields = msgspec.to_builtins(value)  # deep; raises TypeError for what no event holds
    return copied


def _known(name: str) -> str:
    if name not in _NAMES:
        raise TypeError(f"{name} can't be bound, only {', '.join(_NAMES)}")
    return name
