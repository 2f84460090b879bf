"""What an export contains, written beside it: FILE.manifest.json.

With it an auditor shows, later and elsewhere, what the file is, and that it is unaltered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from auditbus.console.export.errors import ExportDamaged
from auditbus.schemas.ids import uuid7

__all__ = ["Manifest", "manifest_path", "verify"]

_VERSION = 1
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One export.

    Attributes:
        export_id: UUID of the export.
        file: the file's name.
        format: csv, ndjson or parquet.
        compression: none, gzip or zstd.
        filters: what was asked for; empty for everything.
        columns: their names, in order; empty where the file holds whole events.
        rows: how many events the file holds.
        matched: how many matched when it was begun.
        truncated: whether more matched than one file may hold; then it holds the newest.
        since, until: the time range that was asked for, RFC 3339; None where open.
        received_until: of the events that match, the newest one's receipt, RFC 3339.
        size_bytes: size of the file.
        sha256: of the file, in hex.
        exported_by: who made it.
        exported_at: when, RFC 3339.
    """

    file: str
    format: str
    compression: str
    filters: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: int
    matched: int
    truncated: bool
    since: str | None
    until: str | None
    received_until: str | None
    size_bytes: int
    sha256: str
    exported_by: str
    exported_at: str
    export_id: str
    manifest_version: int = _VERSION

    def to_json(self) -> bytes:
        """Return it as people read it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def to_event(self) -> dict[str, Any]:
        """Return the AuditLogExported event that records the export."""
        told = asdict(self)
        for name in ("manifest_version", "export_id"):
            del told[name]
        return {
            "action": "AuditLogExported",
            "description": f"Exported {self.rows:,} events of the audit log as {self.format}",
            "targets": [{"type": "audit_log_export", "id": self.export_id, "name": self.file}],
            "metadata": {"export": told},
        }


def new_export_id() -> str:
    """Return an id for an export."""
    return str(uuid7())


def manifest_path(file: Path) -> Path:
    """Return where the manifest of `file` lies."""
    return file.with_name(f"{file.name}.manifest.json")


def verify(file: Path) -> Manifest:
    """Check `file` against the manifest beside it, in constant memory, and return that.

    Raises ExportDamaged that says what differs.
    """
    manifest = _read(manifest_path(file))
    digest, size = hashlib.sha256(), 0
    try:
        with file.open("rb") as opened:
            while content := opened.read(_READ_BYTES):
                digest.update(content)
                size += len(content)
    except OSError as error:
        raise ExportDamaged(f"{file}: {error.strerror}") from error
    if size != manifest.size_bytes:
        raise ExportDamaged(f"{file}: {size:,} bytes, its manifest says {manifest.size_bytes:,}")
    if digest.hexdigest() != manifest.sha256:
        raise ExportDamaged(
            f"{file}: another content than its manifest's SHA-256 {manifest.sha256}"
        )
    return manifest


def _read(path: Path) -> Manifest:
    try:
        found = orjson.loads(path.read_bytes())
        if found["manifest_version"] != _VERSION:
            raise ExportDamaged(f"{path}: manifest_version {found['manifest_version']} is unknown")
        return Manifest(**{**found, "columns": tuple(found["columns"])})
    except OSError as error:
        raise ExportDamaged(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportDamaged(f"{path}: not a manifest of an export") from error
