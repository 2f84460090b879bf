"""Record that something was done, whether it went well, and how long it took."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast

from auditbus.producers.changes import changes_between, snapshot
from auditbus.runtime.errors import PublishError
from auditbus.schemas.errors import InvalidEvent

__all__ = ["Emitter", "Recording", "error_of", "recorded"]

P = ParamSpec("P")
R = TypeVar("R")
Fields = dict[str, Any]
Source = Callable[[Mapping[str, Any]], Any]

_log = logging.getLogger("auditbus.producers")
_MAX_MESSAGE = 2048
_OPTIONS = ("delivery", "timeout_s")


class Emitter(Protocol):
    """What takes events: an AuditProducer, a RecordingProducer."""

    @property
    def emit(self) -> Callable[..., Any]:
        """Take one event. As a property, because each `emit` names its own options."""


class Recording:
    """A block of code as one event, emitted when the block ends; for `with` and `async with`.

        with Recording(audit, action="StorageDeleted") as event:
            event.targets = [{"type": "storage", "id": storage.id}]
            storage.delete()

    An exception makes it a failure with `error` {code: the exception's class, message: its text}
    and goes on its way unchanged. `metadata.duration_ms` is how long the block took.

    When the event itself can't be emitted, that is logged as an error by `auditbus.producers` and
    the block's result stands. One case raises: an action whose delivery is fail-closed, after a
    block that went well, lets the PublishError out. After a block that failed, its own exception
    goes on, with a note on the event that was lost.
    """

    def __init__(self, audit: Emitter, **fields: Any) -> None:
        """Take what `emit` takes, `delivery` and `timeout_s` too; more can be set until the end."""
        self._audit = audit
        self._options = {name: fields.pop(name) for name in _OPTIONS if name in fields}
        self._fields = fields
        self._started_ns = 0
        self.targets: Sequence[Any] | None = fields.get("targets")
        self.changes: Sequence[Any] | None = fields.get("changes")
        self.metadata: Fields = dict(fields.get("metadata") or {})

    def update(self, **fields: Any) -> None:
        """Set fields of the event, as `emit` takes them; `metadata` is merged."""
        self.metadata.update(fields.pop("metadata", None) or {})
        self.targets = fields.pop("targets", self.targets)
        self.changes = fields.pop("changes", self.changes)
        self._fields.update(fields)

    def compare(self, before: Any, after: Any) -> None:
        """Set `changes` to what differs between two states of an object: `changes_between`."""
        self.changes = changes_between(before, after)

    def __enter__(self) -> Self:
        """Start the clock."""
        self._started_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Emit; never swallows the block's exception."""
        try:
            self._audit.emit(self._finished(error), **self._options)
        except Exception as lost:  # noqa: BLE001 -- the service's own result comes first
            self._lost(lost, error)

    async def __aenter__(self) -> Self:
        """Start the clock."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Emit as in sync code; where that waits for Kafka, the event loop goes on meanwhile."""
        try:
            fields = self._finished(error)
            emit_async = getattr(self._audit, "emit_async", None)
            if emit_async is None:
                self._audit.emit(fields, **self._options)
            else:
                await emit_async(fields, **self._options)
        except Exception as lost:  # noqa: BLE001 -- the service's own result comes first
            self._lost(lost, error)

    def _finished(self, error: BaseException | None) -> Fields:
        duration_ms = round((time.perf_counter_ns() - self._started_ns) / 1e6, 3)
        fields = {
            **self._fields,
            "targets": self.targets,
            "changes": self.changes,
            "metadata": {**(self.metadata or {}), "duration_ms": duration_ms},
        }
        if error is not None:
            fields.update(outcome="failure", error=error_of(error))
        elif fields.get("outcome") is None and fields.get("error") is None:
            fields["outcome"] = "success"
        return {name: value for name, value in fields.items() if value is not None}

    def _lost(self, lost: Exception, error: BaseException | None) -> None:
        action = self._fields.get("action")
        # No traceback and no fields: both may quote the event.
        reason = str(lost) if isinstance(lost, InvalidEvent | PublishError) else type(lost).__name__
        _log.error("audit event %s is lost: %s", action, reason)
        if error is not None:
            error.add_note(f"auditbus: the event {action} of this failure is lost: {reason}")
            return
        certainty = self._options.get("delivery")
        if certainty is None and (ask := getattr(self._audit, "certainty_of", None)) is not None:
            certainty = ask(action)
        if certainty == "fail_closed":
            raise lost


class _Call(Recording):
    """One call of a recorded function."""

    def __init__(
        self,
        audit: Emitter,
        fields: Fields,
        arguments: Mapping[str, Any],
        sources: Mapping[str, Source | None],
    ) -> None:
        super().__init__(audit, **fields)
        self._arguments = arguments
        self._ask(sources["fields"], lambda more: self.update(**(more or {})))
        if (targets := self._ask(sources["targets"])) is not None:
            self.targets = targets
        self._changes_of = sources["changes"]
        self._before = self._ask(self._changes_of, snapshot)

    def succeeded(self) -> None:
        """Compare with what was there before the call."""
        if self._changes_of is not None:
            after = self._ask(self._changes_of, snapshot)
            self.changes = changes_between(self._before, after)

    def _ask(self, source: Source | None, convert: Callable[[Any], Any] | None = None) -> Any:
        if source is None:
            return None
        try:
            found = source(self._arguments)
            return found if convert is None else convert(found)
        except Exception as error:  # noqa: BLE001 -- the service's own; its call must go on
            action, kind = self._fields["action"], type(error).__name__
            _log.error("audit event %s lacks fields: their source raised %s", action, kind)
            return None


def recorded(
    audit: Emitter | Callable[[], Emitter],
    action: str,
    *,
    targets: Source | None = None,
    changes: Source | None = None,
    fields: Source | None = None,
    **fixed: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Record each call of a function, sync or async, as `Recording` does.

        @recorded(audit, "StorageRenamed", targets=lambda call: [{"id": call["storage_id"]}])
        def rename(storage_id: str, name: str) -> None: ...

    audit    a producer, or a function that returns it at the call.
    targets  given the call's arguments by name, defaults filled in, before the call: `targets`.
    changes  the same before the call and, where that succeeds, after it: it returns the object in
             question, and what differs becomes `changes`.
    fields   given the arguments before the call: more fields, as a mapping.
    fixed    fields that are always the same.

    The result, the exception and the signature are the function's own. Where one of the three
    functions raises, or gives what can't be used, that is logged, and the event lacks those fields;
    where `audit` raises, the event is lost, and that is logged. Raises TypeError for a generator,
    sync or async (its call returns before it has done anything), and for `metadata` that is no
    mapping.
    """
    if not isinstance(fixed.get("metadata") or {}, Mapping):
        raise TypeError("metadata: a mapping")  # here, rather than in each call

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: record a block in it, with Recording"
            )
        signature = inspect.signature(function)
        sources = {"targets": targets, "changes": changes, "fields": fields}

        def begin(args: tuple[Any, ...], kwargs: Fields) -> _Call:
            arguments = _arguments(signature, args, kwargs)
            return _Call(_emitter(audit), {**fixed, "action": action}, arguments, sources)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def recorded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with begin(args, kwargs) as call:
                    result = await function(*args, **kwargs)
                    call.succeeded()
                return result

            return recorded_async  # type: ignore[return-value]  # R is the coroutine

        @functools.wraps(function)
        def recorded_sync(*args: P.args, **kwargs: P.kwargs) -> R:
            with begin(args, kwargs) as call:
                result = function(*args, **kwargs)
                call.succeeded()
            return result

        return recorded_sync

    return decorate


class _NoEmitter:
    """Stands in where the function that gives the producer raised: the call must go on."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def emit(self, *_: Any, **__: Any) -> Any:
        raise self._error


def _emitter(audit: Emitter | Callable[[], Emitter]) -> Emitter:
    if hasattr(audit, "emit"):
        return cast("Emitter", audit)  # a Mock is callable, too
    try:
        return audit()
    except Exception as error:  # noqa: BLE001 -- the service's own
        return _NoEmitter(error)


def _arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Fields
) -> Mapping[str, Any]:
    try:
        call = signature.bind(*args, **kwargs)
    except TypeError:
        return {}  # the call itself is about to say so
    call.apply_defaults()
    return call.arguments


def error_of(error: BaseException) -> Fields:
    """Return the event's `error` for an exception: its class, and 2,048 characters of its text."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 -- an exception class of the service's own
        message = ""
    message = message[:_MAX_MESSAGE].encode("utf-8", "replace").decode()
    return {"code": type(error).__name__, **({"message": message} if message else {})}
