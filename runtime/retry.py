"""Backoff: how long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Backoff"]


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with full jitter, so that many processes do not retry in step.

    `base_s` doubles with each failure up to `cap_s`; a delay is drawn between half of that and
    all of it. `random_unit` returns a number in [0, 1) and is passed in by tests.
    """

    base_s: float = 0.2
    cap_s: float = 30.0
    random_unit: Callable[[], float] = random.random
    failures: int = field(default=0, init=False)

    def next_delay_s(self) -> float:
        """Count one failure and return the seconds to wait before trying again."""
        ceiling_s = min(self.cap_s, self.base_s * 2 ** min(self.failures, 32))
        self.failures += 1
        jittered_s: float = ceiling_s * (0.5 + self.random_unit() / 2)
        return jittered_s

    def reset(self) -> None:
        """Forget past failures after a success."""
        self.failures = 0
