"""What becomes of a background export, as an event of the one who asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditbus.console.access import Principal, Recorder, Role
from auditbus.console.export.jobs.job import Job
from auditbus.console.export.request import described, rfc3339

__all__ = ["failed_event", "record_job"]


def failed_event(job: Job) -> Mapping[str, Any]:
    """Return the event of an export that came to nothing; a finished one has its manifest's."""
    told = {
        "format": job.format,
        "filters": described(job.filter),
        "since": rfc3339(job.filter.since),
        "until": rfc3339(job.filter.until),
        "rows": 0,
    }
    return {
        "action": "AuditLogExported",
        "description": f"Failed to export the audit log as {job.format}",
        "targets": [{"type": "audit_log_export", "id": job.id, "name": job.file_name}],
        "metadata": {"export": told},
    }


def record_job(
    recorder: Recorder, job: Job, told: Mapping[str, Any], error: str | None = None
) -> None:
    """Record it, also where the one who asked is gone by now. Raises what the recorder raises."""
    recorder.record(
        told["action"],
        told["description"],
        principal=Principal(job.owner, job.owner_name, Role.MEMBER),
        caller=job.caller,
        targets=told["targets"],
        metadata={**told["metadata"], "scope": job.scope},
        error=error,
    )
