"""Taking evidence away: CSV, NDJSON and Parquet in constant memory, each with a manifest."""

from auditbus.console.export.columns import ALL_COLUMNS, Column, chosen_columns
from auditbus.console.export.compression import Compression
from auditbus.console.export.errors import ExportBroken, ExportDamaged
from auditbus.console.export.file import write_file
from auditbus.console.export.formats import Format
from auditbus.console.export.manifest import Manifest, manifest_path, verify
from auditbus.console.export.request import ExportRequest, RunningExport

__all__ = [
    "ALL_COLUMNS",
    "Column",
    "Compression",
    "ExportBroken",
    "ExportDamaged",
    "ExportRequest",
    "Format",
    "Manifest",
    "RunningExport",
    "chosen_columns",
    "manifest_path",
    "verify",
    "write_file",
]
