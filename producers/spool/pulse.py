"""Whether Kafka takes events: judged by when it last acknowledged any."""

from __future__ import annotations

import time

__all__ = ["Pulse"]

_HEALTHY_S = 1.0
_STALLED_S = 3.0
_MIN_PAUSE_S, _MAX_PAUSE_S = 1.0, 30.0


class Pulse:
    """The last sign of life, and how long to leave Kafka alone after it has refused."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._behind_since_s = time.monotonic()
        self._acknowledged, self._acknowledged_at_s = 0, 0.0
        self._pause_s, self._paused_until_s = _MIN_PAUSE_S, 0.0

    def note(self, acknowledged: int, now_s: float) -> None:
        """Take how many events were acknowledged so far."""
        if acknowledged != self._acknowledged:
            self._acknowledged, self._acknowledged_at_s = acknowledged, now_s
            self._pause_s = _MIN_PAUSE_S

    def fell_behind(self) -> None:
        """From now on, only what comes later is a sign of life."""
        self._behind_since_s = time.monotonic()

    def pause(self) -> None:
        """Leave Kafka alone for a while, longer each time until it acknowledges something."""
        self._paused_until_s = time.monotonic() + self._pause_s
        self._pause_s = min(self._pause_s * 2, _MAX_PAUSE_S)

    def is_paused(self, now_s: float) -> bool:
        """Whether Kafka is to be left alone."""
        return now_s < self._paused_until_s

    @property
    def is_healthy(self) -> bool:
        """Whether it has acknowledged something just now, since the outbox fell behind."""
        at_s = self._acknowledged_at_s
        return at_s > self._behind_since_s and time.monotonic() - at_s < _HEALTHY_S

    @property
    def is_stalled(self) -> bool:
        """Whether it has acknowledged nothing for long."""
        last_s = max(self._behind_since_s, self._acknowledged_at_s)
        return time.monotonic() - last_s > _STALLED_S
