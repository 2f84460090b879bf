"""Destinations of the forwarder as operators see them: standing, tried, paused, replayed."""

from auditbus.console.destinations.bookmark import Period
from auditbus.console.destinations.overview import Overview, overview
from auditbus.console.destinations.pausing import set_paused
from auditbus.console.destinations.replay import Replay, ReplayPlan
from auditbus.console.destinations.trial import Trial, try_destination

__all__ = [
    "Overview",
    "Period",
    "Replay",
    "ReplayPlan",
    "Trial",
    "overview",
    "set_paused",
    "try_destination",
]
