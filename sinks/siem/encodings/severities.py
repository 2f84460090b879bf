"""The catalogue's severity in the scales of the formats."""

from __future__ import annotations

from collections.abc import Mapping

from auditbus.schemas.catalogue import Severity

__all__ = ["SEVERITY_NUMBERS", "syslog_severity"]

SEVERITY_NUMBERS: Mapping[Severity, int] = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
"""CEF calls 0 to 3 low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high; LEEF begins at 1."""

_SYSLOG = {
    Severity.INFORMATIONAL: 6,
    Severity.LOW: 5,
    Severity.MEDIUM: 4,
    Severity.HIGH: 3,
    Severity.CRITICAL: 2,
}
_MOST_SEVERE = 2


def syslog_severity(severity: Severity, *, is_failure: bool) -> int:
    """Return it as in RFC 5424, table 2; a failure is one more severe, critical (2) at most.

    Alert and emergency are left to what pages people: an audit event never is that.
    """
    number = _SYSLOG[severity]
    return max(number - 1, _MOST_SEVERE) if is_failure else number
