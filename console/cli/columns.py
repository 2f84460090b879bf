"""The columns of the audit log screen, as text: the first nine of every table and file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from auditbus.console.query.events import EventRow

__all__ = ["FILE_COLUMNS", "SCREEN_COLUMNS"]

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

FILE_COLUMNS: Mapping[str, Column] = {
    **SCREEN_COLUMNS,
    "Time": lambda row: row.time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{row.time:%f}"[:3] + "Z",
    "Outcome": lambda row: row.outcome,
    "Category": lambda row: row.category,
    "Operation": lambda row: row.operation,
    "Targets": lambda row: row.targets,
    "Account ID": lambda row: row.account,
    "User type": lambda row: row.actor_type,
    "User ID": lambda row: row.actor_id,
    "User e-mail": lambda row: row.actor_email,
    "Country": lambda row: row.country_code,
    "User agent": lambda row: row.user_agent,
    "Error code": lambda row: row.error_code,
    "Received": lambda row: row.received_at.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    ),
    "ID": lambda row: str(row.id),
}
