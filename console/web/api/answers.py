"""What the answers of the reading resources have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from auditbus.console.query.completeness import Completeness
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS

__all__ = ["NOT_FOUND", "READING", "completeness_members", "moment_text"]

_DESCRIPTIONS = {
    400: "A parameter is wrong, unknown or repeated; `field` names it",
    422: "A parameter is wrong; `field` names it",
    429: "Too many requests; `Retry-After` says how long to wait",
    503: "The store does not answer, or the search took too long",
}
READING: dict[int | str, dict[str, Any]] = {
    status: answer | {"description": _DESCRIPTIONS.get(int(status), answer["description"])}
    for status, answer in REFUSALS.items()
    if status not in {403, 413}  # who may see nothing sees nothing; nobody sends a body
}
"""How every one of them may answer instead."""


def moment_text(moment: datetime | None) -> str | None:
    """Return RFC 3339 with milliseconds, in UTC."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def completeness_members(known: Completeness) -> dict[str, str | None]:
    """Return the members of an answer that say up to when the log is complete."""
    return {"complete_up_to": moment_text(known.up_to), "incomplete_reason": known.reason}
