"""A bounded cache of ready JSON fragments, free of charge on a hit."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

EMPTY_FRAGMENT = b"{}"


class FragmentCache(dict[K, bytes], Generic[K]):
    """``cache[key]`` is the fragment of ``key``, computed on first use; ``capacity`` are kept.

    A hit is the dict's own C lookup: no bookkeeping. Only misses pay for eviction: when half the
    capacity is full, that half becomes the previous generation and the one before is forgotten; a
    key still in use is carried over by its next miss. So what is looked up often stays, as in an
    LRU, without an order to keep.

    Safe to use from several threads at once: the worst race computes a fragment twice.
    """

    __slots__ = ("_compute", "_half", "_previous")

    def __init__(self, compute: Callable[[K], bytes], capacity: int) -> None:
        super().__init__()
        self._compute = compute
        self._half = max(1, capacity // 2)
        self._previous: dict[K, bytes] = {}

    def __missing__(self, key: K) -> bytes:
        fragment = self._previous.get(key)
        if fragment is None:
            # A copy of the exact size: orjson's own bytes keep the 4 KiB they were written into.
            fragment = bytes(memoryview(self._compute(key)))
        if len(self) >= self._half:
            self._previous = dict(self)
            self.clear()
        self[key] = fragment
        return fragment
