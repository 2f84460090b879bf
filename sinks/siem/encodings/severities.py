"""A severity as a number from 0 to 10, which CEF, LEEF and ECS show."""

from __future__ import annotations

from collections.abc import Mapping

from auditbus.schemas.catalogue import Severity

__all__ = ["SEVERITY_NUMBERS"]

SEVERITY_NUMBERS: Mapping[Severity, int] = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
"""CEF calls 0 to 3 low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high; LEEF begins at 1."""
