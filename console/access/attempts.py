"""How often one address has failed to sign in: after too many it waits for the minute to end."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from threading import Lock

__all__ = ["MAX_FAILURES", "WINDOW_S", "Attempts", "network_of"]

MAX_FAILURES = 20
"""Failures of one address within a minute, from which on it must wait."""
WINDOW_S = 60.0
_MAX_ADDRESSES = 10_000
_MAX_GOOD = 10_000


class Attempts:
    """Safe for many threads. Each console process counts for itself.

    A token that was good before passes all the same: colleagues behind one address are not kept
    out by a script of one of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has failed yet."""
        self._clock = clock
        self._lock = Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._good: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, ip: str) -> float:
        """Return how long this address must wait; 0 where it may try."""
        with self._lock:
            began, count = self._failures.get(network_of(ip), (0.0, 0))
        left = began + WINDOW_S - self._clock()
        return left if count >= MAX_FAILURES and left > 0 else 0.0

    def failed(self, ip: str) -> None:
        """Count a failure."""
        key, now = network_of(ip), self._clock()
        with self._lock:
            began, count = self._failures.pop(key, (now, 0))
            if now - began >= WINDOW_S:
                began, count = now, 0
            self._failures[key] = (began, count + 1)
            while len(self._failures) > _MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def was_good(self, hashed: str) -> bool:
        """Whether the token with this hash has been accepted before."""
        with self._lock:
            return hashed in self._good

    def succeeded(self, hashed: str) -> None:
        """Remember the hash of a token that has been accepted."""
        with self._lock:
            self._good[hashed] = None
            self._good.move_to_end(hashed)
            while len(self._good) > _MAX_GOOD:
                self._good.popitem(last=False)


def network_of(ip: str) -> str:
    """Return what stands for one caller: an IPv4 address, the /64 of an IPv6 one."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
