"""Where an event came from and what it was done with: ready JSON, cached."""

from auditbus.streams.enrichment.database import default_city_path
from auditbus.streams.enrichment.device import DeviceLookup
from auditbus.streams.enrichment.fragment_cache import EMPTY_FRAGMENT, FragmentCache
from auditbus.streams.enrichment.location import LocationLookup

__all__ = [
    "EMPTY_FRAGMENT",
    "DeviceLookup",
    "FragmentCache",
    "LocationLookup",
    "default_city_path",
]
