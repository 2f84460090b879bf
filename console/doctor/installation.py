"""What is installed here: extras and their versions, the catalogue, the location databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from auditbus.console.doctor.finding import Finding, Level
from auditbus.runtime.errors import MissingExtra
from auditbus.runtime.extras import requires_extra
from auditbus.runtime.settings import Settings
from auditbus.schemas.catalogue import Catalogue, CatalogueError

__all__ = ["catalogue_findings", "extra_findings", "geoip_findings"]

_EXTRAS = ("stream", "clickhouse", "forwarder", "console", "local")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*extra == ['\"](?P<extra>\w+)['\"]")
_OLD = timedelta(days=90)


def extra_findings() -> Iterator[Finding]:
    """Say which roles can run here: the packages of each extra and their versions."""
    packages: dict[str, list[str]] = {}
    for line in requires("auditbus") or ():
        if match := _REQUIREMENT.match(line):
            packages.setdefault(match["extra"], []).append(match["name"])
    for extra in _EXTRAS:
        found, missing = [], []
        for name in packages.get(extra, ()):
            if name == "auditbus":
                continue
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                missing.append(name)
        if missing:
            yield Finding(
                Level.WARN,
                f"extra {extra}",
                f"{', '.join(missing)} not installed",
                f"pip install 'auditbus[{extra}]', where this role is to run here",
            )
        else:
            yield Finding(Level.OK, f"extra {extra}", ", ".join(found))


def catalogue_findings(settings: Settings) -> Iterator[Finding]:
    """Judge the action catalogue."""
    try:
        count = len(Catalogue.load(settings.catalogue))
    except CatalogueError as error:
        yield Finding(Level.FAIL, "catalogue", str(error), "mend the file of AUDITBUS_CATALOGUE")
    else:
        yield Finding(Level.OK, "catalogue", f"{count} actions")


def geoip_findings(settings: Settings) -> Iterator[Finding]:
    """Judge the location databases and their age."""
    try:
        with requires_extra("stream"):
            from auditbus.streams.enrichment import default_city_path
    except MissingExtra as error:
        yield Finding(Level.WARN, "location database", "not looked at", str(error))
        return
    city = settings.stream.geoip_city or default_city_path()
    yield _geoip_finding("location database", city, "AUDITBUS_STREAM_GEOIP_CITY")
    if settings.stream.geoip_asn is not None:
        yield _geoip_finding("ASN database", settings.stream.geoip_asn, "AUDITBUS_STREAM_GEOIP_ASN")


def _geoip_finding(subject: str, path: Path | None, setting: str) -> Finding:
    import maxminddb

    change = f"set {setting} to a GeoLite2 or GeoIP2 file"
    if path is None:
        return Finding(Level.WARN, subject, "none: events get no location", change)
    try:
        with maxminddb.open_database(path) as reader:
            metadata = reader.metadata()
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        return Finding(Level.FAIL, subject, f"{path}: {error}", change)
    built = datetime.fromtimestamp(metadata.build_epoch, UTC)
    days = (datetime.now(UTC) - built).days
    found = f"{metadata.database_type} of {built:%Y-%m-%d}, {days} days old"
    if days > _OLD.days:
        return Finding(Level.WARN, subject, found, f"{change} of this month")
    return Finding(Level.OK, subject, found)
