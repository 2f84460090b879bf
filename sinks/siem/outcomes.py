"""What a destination's answer means for the events of one request.

A client maps status codes and exceptions to exactly one of these; the frame does the rest:

Delivered   acknowledged: settled. Items may be excepted: `refused` ones are dead letters, those in
            `again` are sent again, alone.
Accepted    taken, not yet acknowledged: the payload is dropped, `confirm` asked again later.
Failed      nothing to do with the events: sent again after a delay, without end.
Rejected    the answer blames the payload: cut in halves until the one event is found.
Blocked     only a person can mend it (credentials, certificates, a closed endpoint): pause and
            alarm. Tried again now and then, unless `final`.

`code` is short and bounded (a metric label); `reason` is for logs and never quotes an event;
`response` is the beginning of the destination's answer, secrets cut, and goes to dead letters only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

__all__ = ["Accepted", "Blocked", "Delivered", "Failed", "Outcome", "Refusal", "Rejected"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the destination does not take one event, ever."""

    code: str
    reason: str
    response: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Acknowledged. Indexes are those of the parcel's `events`."""

    refused: Mapping[int, Refusal] = field(default_factory=dict)
    again: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Taken but not acknowledged: `confirm` is called after `check_after_s`, from a sender thread.

    It returns another Accepted while there is no news.
    """

    confirm: Callable[[], Outcome]
    check_after_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Not delivered for now. `throttled` speaks of the whole destination, as does Retry-After."""

    code: str
    reason: str
    retry_after_s: float | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The payload is blamed. `too_large` is certain at once; other blame is tried again first."""

    code: str
    reason: str
    response: str = ""
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must act. `final`: not tried again before a resume or a restart."""

    code: str
    reason: str
    final: bool = False


Outcome = Delivered | Accepted | Failed | Rejected | Blocked
