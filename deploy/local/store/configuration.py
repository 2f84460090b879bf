"""The engine's own configuration: grants of its one user, frozen settings, memory caps.

chDB takes clickhouse-server's configuration file (`?config-file=` in its connection string) with
`users_config` beside it. So most of the guarding is the engine's: a user without grants on sources
cannot use `url()` or `s3()` however the statement is spelled. `guard` refuses what this engine does
not check in its embedded form (both were tried: see tests/contract/test_store_refusals.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["CONFIGURATION_FILE", "MemoryCaps", "write_configuration"]

CONFIGURATION_FILE = "engine.xml"
_USERS_FILE = "users.xml"

# Everything on tables; nothing that reaches files, network, users, backups or the process itself.
_GRANTS = (
    "SHOW, SELECT, INSERT, TRUNCATE, OPTIMIZE, CHECK, dictGet, KILL QUERY",
    "CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, CREATE TEMPORARY TABLE",
    "DROP DATABASE, DROP TABLE, DROP VIEW, DROP DICTIONARY",
    "ALTER UPDATE, ALTER DELETE, ALTER COLUMN, ALTER MODIFY COMMENT, ALTER ORDER BY, ALTER INDEX",
    "ALTER STATISTICS, ALTER PROJECTION, ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER VIEW",
    "SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM VIEWS, SYSTEM RELOAD DICTIONARY, SYSTEM FLUSH LOGS",
    "SYSTEM DROP CACHE",
)

# Settings that name files or hosts, carry SQL in a string, or change the language the guard reads.
_FROZEN = (
    "additional_result_filter",
    "additional_table_filters",
    "ai_function_allow_insecure_endpoint",
    "ai_function_embedding_default_credentials",
    "ai_function_text_default_credentials",
    "allow_experimental_eval_table_function",
    "allow_introspection_functions",
    "allow_python_table_function",
    "dialect",
    "filter",
    "format_avro_schema_registry_url",
    "format_schema",
    "format_schema_source",
    "format_template_resultset",
    "format_template_row",
    "implicit_select",
    "implicit_table_at_top_level",
    "input_format_record_errors_file_path",
    "output_format_schema",
    "parallel_replicas_custom_key",
    "rename_files_after_processing",
    "url_base",
)

# Overrides of what chDB switches on for a local tool.
_PROFILE = {
    "allow_introspection_functions": 0,
    "allow_python_table_function": 0,
    "implicit_select": 0,
}

_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MemoryCaps:
    """How much memory the engine may take; beyond `spill_bytes` a query continues on disk."""

    server_bytes: int
    query_bytes: int
    spill_bytes: int

    @classmethod
    def for_machine(cls) -> MemoryCaps:
        """Take half of the memory, at most 4 GiB: a broker and a browser live here too."""
        physical_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        server_bytes = min(4 * _GIB, physical_bytes // 2)
        return cls(server_bytes, server_bytes // 2, server_bytes // 8)


def write_configuration(directory: Path, caps: MemoryCaps) -> None:
    """Write both files into `directory`, which must be the working directory of the engine."""
    server = {
        "users_config": _USERS_FILE,
        "user_files_path": "no-files/",
        "format_schema_path": "no-files/",
        "max_server_memory_usage": caps.server_bytes,
        # A server's defaults are gigabytes each; the audit log's hot set is the last days' marks.
        "mark_cache_size": 128 * _MIB,
        "primary_index_cache_size": 128 * _MIB,
        "index_mark_cache_size": 64 * _MIB,
        "text_index_tokens_cache_size": 64 * _MIB,
        "text_index_header_cache_size": 64 * _MIB,
        "text_index_postings_cache_size": 128 * _MIB,
        "vector_similarity_index_cache_size": 0,
        "compiled_expression_cache_size": 32 * _MIB,
        "query_condition_cache_size": 32 * _MIB,
    }
    profile = _PROFILE | {
        "max_memory_usage": caps.query_bytes,
        "max_bytes_before_external_group_by": caps.spill_bytes,
        "max_bytes_before_external_sort": caps.spill_bytes,
    }
    constraints = "".join(f"<{name}><readonly/></{name}>" for name in _FROZEN)
    grants = "".join(f"<query>GRANT {grant} ON *.*</query>" for grant in _GRANTS)
    users = (
        f"<profiles><default>{_elements(profile)}"
        f"<constraints>{constraints}</constraints></default></profiles>"
        # No password here: the HTTP face asks for it, and nothing else reaches the engine.
        "<users><default><password></password><networks><ip>::/0</ip></networks>"
        "<profile>default</profile><quota>default</quota>"
        f"<grants>{grants}</grants></default></users>"
        "<quotas><default/></quotas>"
    )
    _write(directory / CONFIGURATION_FILE, _elements(server))
    _write(directory / _USERS_FILE, users)


def _elements(values: dict[str, object] | dict[str, int]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())


def _write(path: Path, content: str) -> None:
    path.write_text(f"<clickhouse>{content}</clickhouse>\n", encoding="utf-8")
