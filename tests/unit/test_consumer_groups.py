"""How far behind a group is, whatever the broker tells."""

from __future__ import annotations

import pytest

from auditbus.runtime.consumer_groups import GroupProgress


@pytest.mark.parametrize(
    ("committed", "begin", "end", "lag"),
    [
        (7, 0, 10, 3),
        (None, 4, 10, 6),
        (2, 4, 10, 6),  # what retention deleted can't be read any more
        (10, 0, 10, 0),
        (25, 0, 10, 0),  # Tansu: doctor said "-15 behind"
    ],
)
def test_the_lag_is_what_can_still_be_read(
    committed: int | None, begin: int, end: int, lag: int
) -> None:
    assert GroupProgress(0, committed, begin, end).lag == lag
