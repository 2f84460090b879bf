"""Where scheduled exports go: a folder, or object storage. A file is there whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from auditbus.console.export.errors import ExportNotPut
from auditbus.runtime.atomic_file import whole_file
from auditbus.runtime.errors import SettingsError
from auditbus.runtime.settings import ScheduledExportSettings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Destination", "destination_of"]

_CLOUDS = ("s3://", "gs://", "az://")
_CHUNK_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2  # each is held in memory
_TIMEOUT = "60s"


class Destination(Protocol):
    """Raises ExportNotPut where it cannot be reached or refuses."""

    def has(self, name: str) -> bool:
        """Return whether a file of that name is there."""

    def put(self, file: Path) -> None:
        """Put a copy of `file` there, under its name; blocks."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine, made where it is missing."""

    path: Path

    def has(self, name: str) -> bool:
        """Return whether a file of that name is there."""
        return (self.path / name).is_file()

    def put(self, file: Path) -> None:
        """Copy `file`, mode 0600."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as source, whole_file(self.path / file.name) as copy:
                shutil.copyfileobj(source, copy)
        except OSError as error:
            raise ExportNotPut(f"{self.path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """A bucket, or a prefix in one. Large files go in parts and appear at the end."""

    url: str
    store: ObjectStore

    def has(self, name: str) -> bool:
        """Ask for it."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.head(self.store, name)
        except FileNotFoundError:  # NotFoundError is one
            return False
        except (BaseError, OSError) as error:
            raise self._failure(error) from error
        return True

    def put(self, file: Path) -> None:
        """Send it."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(
                self.store,
                file.name,
                file,
                chunk_size=_CHUNK_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except (BaseError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> ExportNotPut:
        # The library's message goes on for pages, with the store's whole configuration.
        kind = type(error).__name__.removesuffix("Error")
        return ExportNotPut(f"{self.url}: {kind}: {str(error).partition(chr(10))[0][:300]}")


def destination_of(settings: ScheduledExportSettings) -> Destination:
    """Return where they go. Reaches nothing yet.

    Credentials are those of the environment (AWS_ACCESS_KEY_ID and the like), never of the file.
    Raises SettingsError where the address makes no sense.
    """
    if settings.to.startswith(_CLOUDS):
        return _object_storage(settings)
    if "://" in settings.to:
        raise SettingsError(f"to: {settings.to}: no folder, and none of {', '.join(_CLOUDS)}")
    return Folder(Path(settings.to))


def _object_storage(settings: ScheduledExportSettings) -> ObjectStorage:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise SettingsError(f"to: {settings.to}: install auditbus[object-storage]") from error
    options: dict[str, Any] = {"client_options": {"timeout": _TIMEOUT}}
    if settings.to.startswith("s3://"):
        options["region"] = settings.region
        if settings.endpoint:
            options["endpoint"] = settings.endpoint
            options["client_options"]["allow_http"] = settings.endpoint.startswith("http://")
    try:
        return ObjectStorage(settings.to, from_url(settings.to, **options))
    except (BaseError, ValueError) as error:
        raise SettingsError(f"to: {settings.to}: {str(error).partition(chr(10))[0]}") from error
