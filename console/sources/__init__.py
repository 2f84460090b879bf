"""Audit records of other systems, read and mapped to events: one module a format."""

from collections.abc import Mapping

from auditbus.console.sources import cloudtrail, github, kubernetes, okta
from auditbus.console.sources.mapping import SourceFormat
from auditbus.console.sources.reading import Chunks
from auditbus.console.sources.records import Found
from auditbus.console.sources.splitting import split_lines, split_records

__all__ = ["FORMATS", "Chunks", "Found", "SourceFormat", "split_lines", "split_records"]

FORMATS: Mapping[str, SourceFormat] = {
    module.FORMAT.name: module.FORMAT for module in (cloudtrail, github, kubernetes, okta)
}
