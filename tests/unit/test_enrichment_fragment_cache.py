"""FragmentCache: bounded, and kind to what is in use."""

from __future__ import annotations

import subprocess
import sys
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


def test_a_cached_fragment_takes_no_more_memory_than_it_is_long() -> None:
    """orjson's bytes stand in buffers of 4 KiB: 50,000 cached ones took 200 MB."""
    script = (  # a process of its own: peaks of other tests would hide it
        "import orjson, resource\n"
        "from auditbus.streams.enrichment import FragmentCache\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "cache = FragmentCache(lambda key: orjson.dumps(['x' * 220, key]), 40_000)\n"
        "before = peak()\n"
        "for key in range(20_000): cache[key]\n"
        "print((peak() - before) * 1024 / 20_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert float(done.stdout) < 1_000, "bytes for a fragment of 230"
