"""Turn chosen log records into events: for code that logs already and is not to be changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from auditbus.producers.recording import Emitter, error_of
from auditbus.runtime.errors import PublishError
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = ["AuditHandler"]

_log = logging.getLogger("auditbus.producers")
_OWN = "auditbus"
_MAX_MESSAGE = 2048
_emitting: ContextVar[bool] = ContextVar("auditbus_emitting", default=False)


class AuditHandler(logging.Handler):
    """Emits an event for each record that says so, and for all records of chosen loggers.

        logging.getLogger().addHandler(AuditHandler(audit, loggers={"billing": "BillingLogged"}))
        log.info("storage deleted", extra={"audit": {"action": "StorageDeleted"}})

    The fields are those of `extra={"audit": {...}}`. Absent are filled: `action` by the logger's,
    `description` by the message, `occurred_at` by the record's time, `error` by its exception, and
    `outcome` (failure from ERROR on). Nothing is raised into the service, and what the SDK itself
    logs makes no event. What can't be emitted is logged as an error by `auditbus.producers`.
    """

    def __init__(
        self,
        audit: Emitter,
        *,
        loggers: Mapping[str, str] | None = None,
        level: int = logging.NOTSET,
    ) -> None:
        """`loggers` gives the action of each chosen logger, and of those below it."""
        super().__init__(level)
        self._audit = audit
        self._loggers = dict(loggers or {})

    def emit(self, record: logging.LogRecord) -> None:
        """Emit the record's event, where it makes one."""
        own = record.name == _OWN or record.name.startswith(f"{_OWN}.")
        if own or _emitting.get():  # an emit that logs would come back here for ever
            return
        token = _emitting.set(True)
        try:
            fields = self._fields(record)
            if fields is not None:
                self._audit.emit(fields)
        except Exception as lost:  # noqa: BLE001 -- a log line must not cost the service its request
            known = isinstance(lost, InvalidEvent | PublishError)
            reason = str(lost) if known else type(lost).__name__
            _log.error("the audit event of a record of %s is lost: %s", record.name, reason)
        finally:
            _emitting.reset(token)

    def _fields(self, record: logging.LogRecord) -> dict[str, Any] | None:
        given = getattr(record, "audit", None)
        action = self._action_of(record.name)
        if given is None and action is None:
            return None
        if given is not None and not isinstance(given, Mapping):
            raise InvalidEvent(RejectCode.WRONG_TYPE, "audit", "extra holds no mapping there")
        fields: dict[str, Any] = {
            "action": action,
            "description": record.getMessage()[:_MAX_MESSAGE],
            "occurred_at": datetime.fromtimestamp(record.created, UTC),
        }
        if record.exc_info and (error := record.exc_info[1]) is not None:
            fields["error"] = error_of(error)
        if record.levelno >= logging.ERROR:
            fields["outcome"] = "failure"
        fields.update((name, value) for name, value in (given or {}).items() if value is not None)
        return fields

    def _action_of(self, name: str) -> str | None:
        while name:
            if (action := self._loggers.get(name)) is not None:
                return action
            name = name.rpartition(".")[0]
        return None
