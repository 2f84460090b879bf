"""FragmentCache: bounded, and kind to what is in use."""

from __future__ import annotations

from collections import Counter

from auditbus.streams.enrichment import FragmentCache


def counting(capacity: int) -> tuple[FragmentCache[int], Counter[int]]:
    computed: Counter[int] = Counter()

    def compute(key: int) -> bytes:
        computed[key] += 1
        return b"%d" % key

    return FragmentCache(compute, capacity), computed


def test_a_fragment_is_computed_once() -> None:
    cache, computed = counting(10)
    assert [cache[7], cache[7], cache[7]] == [b"7"] * 3
    assert computed == {7: 1}


def test_it_never_holds_more_than_its_capacity() -> None:
    cache, _ = counting(10)
    for key in range(1_000):
        cache[key]
        assert len(cache) + len(cache._previous) <= 10


def test_what_is_looked_up_often_outlives_a_stream_of_strangers() -> None:
    cache, computed = counting(10)
    for stranger in range(1, 1_000):
        assert cache[0] == b"0"
        cache[stranger]
    assert computed[0] == 1
