"""The columns of an export, as the engine makes them: the screen's nine first, the rest by choice.

The engine formats the rows: in Python a file of a million rows would take ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ALL_COLUMNS", "SCREEN_COLUMNS", "Column", "chosen_columns"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: what it is asked for by, and its name in Parquet.
        heading: its heading in CSV.
        sql: its value; a constant of this module.
        csv_sql: its text in CSV, where that is not `sql` as it is.
        is_text: others could have chosen its first character.
    """

    name: str
    heading: str
    sql: str
    csv_sql: str = ""
    is_text: bool = True


def _moment(name: str, heading: str) -> Column:
    text = f"concat(replaceOne(toString({name}), ' ', 'T'), 'Z')"
    return Column(name, heading, name, text, is_text=False)


_USER = (
    "multiIf(actor_name != '', actor_name, actor_email != '', actor_email,"
    " actor_id != '', actor_id, actor_type)"
)
SCREEN_COLUMNS = (
    _moment("time", "Time"),
    Column("action", "Action", "action"),
    Column("description", "Description", "description"),
    Column("account", "Account", "if(account_name != '', account_name, account)"),
    Column("user", "User", _USER),
    Column("ip", "IP", "ip_text"),
    Column("device", "Device", "device"),
    Column("location", "Location", "location"),
    Column("error", "Error", "if(error_message != '', error_message, error_code)"),
)
"""Those of the audit log screen, in its order."""

ALL_COLUMNS = (
    *SCREEN_COLUMNS,
    Column("outcome", "Outcome", "toString(outcome)", is_text=False),
    Column("category", "Category", "category"),
    Column("operation", "Operation", "operation"),
    Column("targets", "Targets", "targets"),
    Column("account_id", "Account ID", "account"),
    Column("user_type", "User type", "actor_type"),
    Column("user_id", "User ID", "actor_id"),
    Column("user_email", "User e-mail", "actor_email"),
    Column("country", "Country", "country_code"),
    Column("user_agent", "User agent", "user_agent"),
    Column("error_code", "Error code", "error_code"),
    _moment("received_at", "Received"),
    Column("id", "ID", "toString(id)", is_text=False),
)


def chosen_columns(names: Sequence[str] | None) -> tuple[Column, ...]:
    """Return the screen's columns and, after them, those named; None: all there are.

    Raises ValueError for a name that no column has.
    """
    if names is None:
        return ALL_COLUMNS
    by_name = {column.name: column for column in ALL_COLUMNS}
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"no column {', '.join(unknown)}: there are {', '.join(by_name)}")
    wanted = dict.fromkeys((*SCREEN_COLUMNS, *(by_name[name] for name in names)))
    return tuple(wanted)
