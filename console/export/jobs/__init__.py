"""Exports that go on in the background, whoever waits: on disk, so that no restart loses one."""

from auditbus.console.export.jobs.desk import ExportDesk
from auditbus.console.export.jobs.job import Job, Progress, State
from auditbus.console.export.jobs.link import link_signature, link_stands
from auditbus.console.export.jobs.shelf import Shelf

__all__ = [
    "ExportDesk",
    "Job",
    "Progress",
    "Shelf",
    "State",
    "link_signature",
    "link_stands",
]
