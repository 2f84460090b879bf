"""What the log says of its own retention: each change is a `RetentionPolicyUpdated` event.

Whoever changes something hands over a `Record`, which is called first: where it raises, nothing is
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ACTION", "Record", "Recorded"]

ACTION = "RetentionPolicyUpdated"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is done, as parts of an event. The actor and the caller are the recorder's to add."""

    description: str
    target: Mapping[str, str]
    changes: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def as_event(self, actor: str) -> dict[str, Any]:
        """Return the whole event of one who has no caller, as on the command line."""
        return {
            "action": ACTION,
            "description": self.description,
            "actor": {"type": "user", "id": actor},
            "targets": [dict(self.target)],
            "changes": [dict(change) for change in self.changes],
            "metadata": dict(self.metadata),
        }


Record = Callable[[Recorded], None]
