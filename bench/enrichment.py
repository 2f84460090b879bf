"""What location and device cost an event: from the cache, and the first time an address is seen."""

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random
from typing import TypeVar

from auditbus.deploy.local.demo import Traffic, user_agents
from auditbus.deploy.local.demo.places import PLACES
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path
from bench.report import Measured

K = TypeVar("K")

_ROUNDS = 5
_EVENTS = 20_000


def run() -> Measured:
    locations, devices = LocationLookup(default_city_path()), DeviceLookup()
    random = Random(1)
    fresh = [random.choice(PLACES).ipv4_address(random) for _ in range(_EVENTS)]
    agents = [agent.text for agent in (*user_agents.browsers(), *user_agents.phones())]
    contexts = [event["context"] or {} for event in islice(Traffic(), _EVENTS)]
    ips = [str(context["ip"]) for context in contexts]
    hinted = [(str(c["user_agent"]), c["client_hints"]) for c in contexts if "client_hints" in c]
    plain = [str(c["user_agent"]) for c in contexts if "user_agent" in c]
    first_location = _mean_us(locations.fragment, list(dict.fromkeys(fresh)))
    first_device = _mean_us(devices.fragment, list(dict.fromkeys(agents)))
    return Measured(
        question="What do location and device cost an event?",
        figures={
            "cached_location_us": _cached_us(locations.fragments.__getitem__, ips),
            "cached_device_us": _cached_us(devices.fragments.__getitem__, plain),
            "cached_device_with_hints_us": _cached_us(lambda pair: devices.fragment(*pair), hinted),
            "first_location_us": first_location,
            "first_device_us": first_device,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
        demands={},
        notes=(
            f"cached_*: {_EVENTS:,} events of the demo's traffic, median of {_ROUNDS} rounds.",
            "first_*: the mean of distinct public addresses and of distinct browsers and phones.",
            "peak_rss_mib: the whole process, with the pages of the mapped database it touched.",
        ),
    )


def _cached_us(look_up: Callable[[K], bytes], keys: Sequence[K]) -> float:
    for key in keys:
        look_up(key)
    return statistics.median(_mean_us(look_up, keys) for _ in range(_ROUNDS))


def _mean_us(look_up: Callable[[K], bytes], keys: Sequence[K]) -> float:
    started = time.perf_counter()
    for key in keys:
        look_up(key)
    return (time.perf_counter() - started) / len(keys) * 1e6
