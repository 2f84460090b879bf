"""What the stream needs of a consumed record: what aiokafka's parser yields has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Record", "Records"]


class Record(Protocol):
    """One record. `timestamp` is in ms since 1970; `timestamp_type` 1 means the broker's."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def timestamp_type(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102


Records = Sequence[Record]
"""The records that one fetch brought from one partition, in order, never empty."""
