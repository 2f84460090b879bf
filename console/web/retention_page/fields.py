"""The fields of the page's forms, read strictly; what is wrong is said by its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from auditbus.console.retention import MAX_DAYS, MIN_DAYS

__all__ = ["HoldFields", "PeriodFields", "WrongField"]

_MAX_TEXT = 255  # as the API takes


class WrongField(ValueError):
    """What to tell the person."""


@dataclass(frozen=True, slots=True)
class PeriodFields:
    """`confirmed` is None on the first of the two steps."""

    account: str
    days: int
    confirmed: int | None

    @classmethod
    def of(cls, form: Mapping[str, str]) -> PeriodFields:
        """Raise WrongField."""
        days = _number("Days", form.get("days", ""))
        if not MIN_DAYS <= days <= MAX_DAYS:
            raise WrongField(f"Days: must be {MIN_DAYS} to {MAX_DAYS}")
        confirmed = form.get("confirm")
        return cls(
            _text("Account", form.get("account", "")),
            days,
            None if confirmed is None else _number("Confirmed", confirmed),
        )


@dataclass(frozen=True, slots=True)
class HoldFields:
    """Empty or None: no matter which."""

    account: str
    user: str
    since: datetime | None
    until: datetime | None
    reason: str

    @classmethod
    def of(cls, form: Mapping[str, str]) -> HoldFields:
        """Raise WrongField."""
        return cls(
            _text("Account", form.get("account", ""), may_be_empty=True),
            _text("User", form.get("user", ""), may_be_empty=True),
            _moment("From", form.get("since", "")),
            _moment("To", form.get("until", "")),
            _text("Reason", form.get("reason", "")),
        )


def _text(label: str, value: str, *, may_be_empty: bool = False) -> str:
    text = value.strip()
    if not text and not may_be_empty:
        raise WrongField(f"{label}: is empty")
    if len(text) > _MAX_TEXT or (text and not text.isprintable()):
        raise WrongField(f"{label}: must be at most {_MAX_TEXT} printable characters")
    return text


def _number(label: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):  # noqa: PLR2004  # an Int64
        raise WrongField(f"{label}: is not a number")
    return int(value)


def _moment(label: str, value: str) -> datetime | None:
    """Return what an `<input type="datetime-local">` sent, in UTC."""
    if not value.strip():
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise WrongField(f"{label}: is no date and time") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
