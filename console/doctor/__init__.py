"""Is everything as it must be, and if not, what to change."""

from auditbus.console.doctor.checkup import examine
from auditbus.console.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
