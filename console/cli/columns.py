"""The columns of the audit log screen, as text: the first nine of every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from auditbus.console.query.events import EventRow

__all__ = ["SCREEN_COLUMNS"]

Column = Callable[[EventRow], str]


def _time(row: EventRow) -> str:
    return row.time.strftime("%Y-%m-%d %H:%M:%S")


SCREEN_COLUMNS: Mapping[str, Column] = {
    "Time": _time,
    "Action": lambda row: row.action,
    "Description": lambda row: row.description,
    "Account": lambda row: row.account_name or row.account,
    "User": lambda row: row.user,
    "IP": lambda row: row.ip,
    "Device": lambda row: row.device,
    "Location": lambda row: row.location,
    "Error": lambda row: row.error,
}
