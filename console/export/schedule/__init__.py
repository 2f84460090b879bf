"""Exports that are made again and again, each interval of time once."""

from auditbus.console.export.schedule.scheduler import Scheduler

__all__ = ["Scheduler"]
