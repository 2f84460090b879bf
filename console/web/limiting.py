"""Limits of one principal, so that no reader takes the others' share. In this process alone.

Requests a second are a bucket that holds `_BURST_S` seconds' worth; what is running is counted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from auditbus.console.web.asking import PrincipalOf
from auditbus.console.web.problems import Problem
from auditbus.runtime.settings import ConsoleSettings

__all__ = ["Limits", "LimitsOf", "limited"]

_BURST_S = 2.0
_FORGET_AFTER = 10_000


@dataclass(slots=True)
class _Account:
    """What one principal has used."""

    left: float
    at_s: float
    running: int = 0
    tails: int = 0


@dataclass(slots=True)
class Limits:
    """Counts what each principal asks for. Safe for many threads."""

    settings: ConsoleSettings
    clock: Callable[[], float] = time.monotonic
    _accounts: dict[str, _Account] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @contextmanager
    def request(self, principal_id: str) -> Iterator[None]:
        """Hold a place while a request is answered. Raises Problem (429)."""
        with self._lock:
            account = self._account(principal_id)
            if account.running >= self.settings.simultaneous_requests:
                raise _too_many("Too many requests at once", 1)
            if account.left < 1:
                wait_s = (1 - account.left) / self.settings.requests_per_s
                raise _too_many("Too many requests", wait_s)
            account.left -= 1
            account.running += 1
        try:
            yield
        finally:
            with self._lock:
                account.running -= 1

    def begin_tail(self, principal_id: str) -> Callable[[], None]:
        """Take a place for a live tail, and return what gives it back. Raises Problem (429)."""
        with self._lock:
            account = self._account(principal_id)
            if account.tails >= self.settings.live_tails:
                raise _too_many("Too many live tails", 10)
            account.tails += 1

        def end() -> None:
            with self._lock:
                account.tails -= 1

        return end

    def _account(self, principal_id: str) -> _Account:
        now_s = self.clock()
        most = max(1.0, self.settings.requests_per_s * _BURST_S)
        if len(self._accounts) > _FORGET_AFTER:
            self._forget(now_s)
        account = self._accounts.setdefault(principal_id, _Account(most, now_s))
        earned = (now_s - account.at_s) * self.settings.requests_per_s
        account.left, account.at_s = min(most, account.left + earned), now_s
        return account

    def _forget(self, now_s: float) -> None:
        self._accounts = {
            name: account
            for name, account in self._accounts.items()
            if account.running or account.tails or now_s - account.at_s < _BURST_S
        }


def _too_many(what: str, wait_s: float) -> Problem:
    seconds = max(1, math.ceil(wait_s))
    return Problem(429, f"{what}; try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def _limits_of(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits


LimitsOf = Annotated[Limits, Depends(_limits_of)]
"""Annotate a handler's parameter with it."""


def limited(principal: PrincipalOf, limits: LimitsOf) -> Iterator[None]:
    """Hold the principal's place until the request is answered: a dependency of every operation."""
    with limits.request(principal.id):
        yield
