"""How long what is kept: periods by account, legal holds, and what will go when."""

from auditbus.console.retention.changing import (
    Changed,
    NotConfirmed,
    Waiting,
    apply_due,
    cancel_change,
    change_period,
    waiting_changes,
)
from auditbus.console.retention.forecast import Expiring, Going, Step, forecast, going
from auditbus.console.retention.holds import (
    Hold,
    hold_history,
    list_holds,
    reconcile_holds,
    release_hold,
    set_hold,
)
from auditbus.console.retention.keeper import Keeper
from auditbus.console.retention.periods import (
    DEFAULT_DAYS,
    DICTIONARY_LIFETIME_S,
    MAX_DAYS,
    MIN_DAYS,
    AccountRetention,
    days_of,
    list_retention,
    reconcile_retention,
    set_retention,
)
from auditbus.console.retention.recorded import ACTION, Record, Recorded

__all__ = [
    "ACTION",
    "DEFAULT_DAYS",
    "DICTIONARY_LIFETIME_S",
    "MAX_DAYS",
    "MIN_DAYS",
    "AccountRetention",
    "Changed",
    "Expiring",
    "Going",
    "Hold",
    "Keeper",
    "NotConfirmed",
    "Record",
    "Recorded",
    "Step",
    "Waiting",
    "apply_due",
    "cancel_change",
    "change_period",
    "days_of",
    "forecast",
    "going",
    "hold_history",
    "list_holds",
    "list_retention",
    "reconcile_holds",
    "reconcile_retention",
    "release_hold",
    "set_hold",
    "set_retention",
    "waiting_changes",
]
