"""How several forwarders' reports become one state, and a row of the listing."""

import msgspec
import pytest

from auditbus.console.cli.destinations import _COLUMNS, _row
from auditbus.console.destinations.overview import Overview, Reports
from auditbus.console.destinations.trial import marked_event
from auditbus.schemas.enriched import decode_enriched
from auditbus.schemas.validation import validate
from auditbus.sinks.siem.control import Pause, Status, decode
from auditbus.sinks.siem.standing import State, Trouble
from auditbus.sinks.siem.tally import Counts

_NOW = 1_790_000_000_000


def _status(state: State, *, age_s: float = 1.0, instance: str = "a:1") -> Status:
    return Status(
        destination="soc",
        instance=instance,
        kind="webhook",
        topic="enriched",
        state=state,
        trouble=None,
        since_ms=_NOW - 100_000,
        at_ms=_NOW - round(age_s * 1000),
        last_success_ms=None,
        last_error=Trouble("http_503", "HTTP 503", _NOW),
        counts=Counts(sent=3),
        positions={0: 7},
    )


@pytest.mark.parametrize(
    ("statuses", "paused", "expected"),
    [
        ([], None, "never started"),
        ([], True, "paused"),
        ([_status(State.DELIVERING)], None, "delivering"),
        ([_status(State.DELIVERING)], False, "delivering"),
        ([_status(State.DELIVERING)], True, "paused"),
        ([_status(State.DELIVERING), _status(State.RETRYING)], None, "retrying"),
        ([_status(State.BLOCKED), _status(State.RETRYING)], None, "blocked"),
        ([_status(State.STOPPED), _status(State.DELIVERING)], None, "delivering"),
        ([_status(State.STOPPED)], None, "stopped"),
        ([_status(State.DELIVERING, age_s=50)], None, "silent"),
        ([_status(State.DELIVERING, age_s=50), _status(State.STOPPED)], None, "stopped"),
        ([_status(State.STOPPED, age_s=90), _status(State.RETRYING, age_s=50)], None, "silent"),
    ],
)
def test_the_worst_of_the_living_counts(
    statuses: list[Status], paused: bool | None, expected: str
) -> None:
    pause = None if paused is None else Pause(paused=paused, at_ms=_NOW)
    assert Reports(tuple(statuses), pause).state(_NOW) == expected


def test_a_status_survives_the_wire_and_garbage_is_none() -> None:
    status = _status(State.PAUSED)
    assert decode(Status, msgspec.json.encode(status)) == status
    for value in (b"", b"{}", b"[]", b"\xff", b'{"state":"odd"}'):
        assert decode(Status, value) is None


def test_rows_have_every_column_and_no_answer_moves_the_terminal() -> None:
    item = Overview(
        name="soc",
        kind="webhook",
        topic="enriched",
        state="retrying",
        trouble="http_503: HTTP 503",
        lag=7,
        last_success_ms=None,
        last_error=Trouble("http_503", "HTTP 503", _NOW),
        counts=Counts(1, 2, 3, 4, 5),
        since_ms=_NOW,
        status_ms=_NOW,
        processes=1,
        is_configured=True,
    )
    row = _row(item, "table")
    assert set(row) == set(_COLUMNS)
    assert [row[name] for name in Counts.__struct_fields__] == [1, 2, 3, 4, 5]
    whole = _row(item, "json")
    assert whole["last_error"] == {
        "at": "2026-09-21T14:13:20.000Z",
        "code": "http_503",
        "reason": "HTTP 503",
    }
    assert (whole["lag"], whole["configured"], whole["trouble"]) == (7, True, "http_503: HTTP 503")


def test_the_marked_event_is_a_valid_event() -> None:
    raw = msgspec.json.encode(marked_event("system", raw=True))
    assert validate(raw).action == "AuditbusDestinationTested"
    enriched = decode_enriched(msgspec.json.encode(marked_event("system", raw=False)))
    assert enriched.metadata == {"auditbus_test": True}
