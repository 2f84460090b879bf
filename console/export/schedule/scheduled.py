"""One scheduled export as the settings describe it, and how far it is, on disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from auditbus.console.export.columns import Column, chosen_columns
from auditbus.console.export.compression import Compression
from auditbus.console.export.formats import Format
from auditbus.console.export.request import ExportRequest
from auditbus.console.export.schedule.destination import Destination, destination_of
from auditbus.console.export.schedule.interval import Interval, duration, last_boundary
from auditbus.console.query import EventFilter, event_predicate, parse_addresses
from auditbus.console.query.words import parse_words
from auditbus.runtime.atomic_file import whole_file
from auditbus.runtime.errors import SettingsError
from auditbus.runtime.settings import ScheduledExportSettings

__all__ = ["PAUSES", "ScheduledExport"]


@dataclass(frozen=True, slots=True)
class ScheduledExport:
    """What to export, how often and whereto.

    `state` is a file that says up to when everything was exported.
    """

    name: str
    settings: ScheduledExportSettings
    filter: EventFilter
    columns: tuple[Column, ...]
    destination: Destination
    state: Path

    @classmethod
    def of(cls, name: str, settings: ScheduledExportSettings, directory: Path) -> ScheduledExport:
        """Judge the settings. Raises SettingsError naming the key that is wrong."""
        try:
            _check_compression(settings)
            return cls(
                name,
                settings,
                _filter(settings),
                _columns(settings),
                destination_of(settings),
                directory / f"{name}.json",
            )
        except SettingsError as error:
            raise SettingsError(f"console.scheduled_exports.{name}.{error}") from error

    @property
    def principal_id(self) -> str:
        """Who exports, in the manifest and in the log."""
        return f"schedule:{self.name}"

    def due(self, now: datetime) -> Interval | None:
        """Return the next interval to export, None where none is over yet.

        The first is the last one that is over when it is first asked. Raises OSError.
        """
        every, delay = duration(self.settings.every), duration(self.settings.delay)
        first = self._until()
        if first is None:
            first = last_boundary(now - delay, every) - every
        interval = Interval(first, first + every)
        return interval if interval.end + delay <= now else None

    def done(self, interval: Interval) -> None:
        """Remember that it was exported. Raises OSError."""
        with whole_file(self.state) as file:
            file.write(orjson.dumps({"exported_until": interval.end}))

    def request(self, interval: Interval) -> ExportRequest:
        """Return what to export of an interval."""
        return ExportRequest(
            format=Format(self.settings.format),
            columns=self.columns,
            compression=Compression(self.settings.compress),
            filter=self.filter,
            predicate=event_predicate(self.filter) & interval.predicate,
            limit=None,
            exported_by=self.principal_id,
            received=(interval.first, interval.end),
        )

    def file_name(self, interval: Interval) -> str:
        """Return what the file of an interval is called."""
        suffix = Compression(self.settings.compress).suffix
        return f"{self.name}-{interval}.{self.settings.format}{suffix}"

    def _until(self) -> datetime | None:
        try:
            return datetime.fromisoformat(orjson.loads(self.state.read_bytes())["exported_until"])
        except FileNotFoundError:
            return None


def _check_compression(settings: ScheduledExportSettings) -> None:
    if settings.format == "parquet" and settings.compress != "none":
        raise SettingsError("compress: Parquet compresses itself")


def _columns(settings: ScheduledExportSettings) -> tuple[Column, ...]:
    try:
        return chosen_columns(settings.columns or None)
    except ValueError as error:
        raise SettingsError(f"columns: {error}") from error


def _filter(settings: ScheduledExportSettings) -> EventFilter:
    try:
        addresses = tuple(parse_addresses(text) for text in settings.ip)
    except ValueError as error:
        raise SettingsError(f"ip: {error}") from error
    try:
        if settings.text:
            parse_words(settings.text)
    except ValueError as error:
        raise SettingsError(f"text: {error}") from error
    return EventFilter(
        accounts=settings.account,
        users=settings.user,
        actions=settings.action,
        categories=settings.category,
        outcomes=settings.outcome,
        addresses=addresses,
        countries=settings.country,
        devices=settings.device,
        errors=settings.error,
        targets=settings.target,
        text=settings.text or None,
    )


PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""How long to wait after the first, second … failure in a row, and after all later ones."""
