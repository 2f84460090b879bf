"""A manifest tells of every filter that was given."""

from dataclasses import fields
from typing import Any

import pytest

from auditbus.console.export.request import described
from auditbus.console.query import EventFilter, parse_addresses

_TOLD_APART = {"since", "until"}
_VALUES: dict[str, Any] = {"addresses": (parse_addresses("192.0.2.0/24"),), "text": "word"}


@pytest.mark.parametrize("name", sorted({one.name for one in fields(EventFilter)} - _TOLD_APART))
def test_every_filter_is_told(name: str) -> None:
    wanted: dict[str, Any] = {name: _VALUES.get(name, ("x",))}
    assert len(described(EventFilter(**wanted))) == 1
