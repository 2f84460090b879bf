"""Write what docs/ takes from the code: configuration.md, encodings.md, and parts of events.md.

`python docs/generate.py` writes; tests/unit/test_docs_generated.py fails when they are stale.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from auditbus.runtime.settings import Settings
from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem import DestinationSettings
from auditbus.sinks.siem.filters import FilterSettings
from auditbus.sinks.siem.redaction import RedactionSettings
from auditbus.sinks.siem.registry import built_in_kinds

_DOCS = Path(__file__).parent
sys.path.append(str(_DOCS))
from encodings_page import encodings_page  # noqa: E402  # beside this file, which is no package

__all__ = ["generated"]

_MARKED = re.compile(r"(?<=<!-- catalogue -->\n).*(?=\n<!-- end -->)", re.DOTALL)

_INTRODUCTION = """\
# Settings

This page is generated from the code: `python docs/generate.py`.

A setting is taken from its variable, else from the settings file, else it has its default.
The file is TOML: the one `--config` names, else `AUDITBUS_CONFIG`, else `./auditbus.toml`.

```toml
[kafka]
bootstrap_servers = "kafka-1:9092,kafka-2:9092"

[clickhouse]
url = "https://clickhouse.example.com:8443"
```

An unknown variable or key, or a wrong value, ends a command with exit code 2 and its name.
A variable marked *secret* may also be given as a file's path in `NAME_FILE`, such as
`AUDITBUS_CLICKHOUSE_PASSWORD_FILE=/run/secrets/clickhouse`.

`AUDITBUS_CACHE_DIR` says where `auditbus up` keeps the broker it has fetched."""

_DESTINATIONS = """\
## Destinations of the forwarder

Each destination is a table of the settings file; its name is yours, and part of its consumer
group. A *secret* is never in the file: for `secret`, the table says `secret_env` (a variable, whose
name must not begin with `AUDITBUS_`) or `secret_file` (a path).

```toml
[forwarder.destinations.siem]
type = "webhook"
url = "https://siem.example.com/audit-events"
secret_env = "SIEM_WEBHOOK_SECRET"
```"""


def generated() -> dict[Path, str]:
    """Return each file's whole text by its path."""
    events = _DOCS / "events.md"
    catalogue = _catalogue()
    return {
        _DOCS / "configuration.md": "\n\n".join(_configuration()) + "\n",
        _DOCS / "encodings.md": encodings_page(),
        events: _MARKED.sub(lambda _: catalogue, events.read_text(encoding="utf-8")),
    }


def _configuration() -> Iterator[str]:
    yield _INTRODUCTION
    sections = {}
    alone = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            sections[name] = kind
        else:
            alone[name] = field
    for name, kind in sections.items():
        yield from _section(name, kind)
    yield "## General"
    yield _table("Variable", alone, prefix="AUDITBUS_")
    yield _DESTINATIONS
    yield "### Every destination"
    yield _table("Key", DestinationSettings.model_fields)
    for name, section in (("filter", FilterSettings), ("redact", RedactionSettings)):
        yield f"#### `[forwarder.destinations.NAME.{name}]`"
        yield cleandoc(section.__doc__ or "")
        yield _table("Key", section.model_fields)
    for name, built_in in built_in_kinds().items():
        common = DestinationSettings.model_fields
        own = {
            key: field
            for key, field in built_in.settings.model_fields.items()
            if key not in common or field.default != common[key].default
        }
        yield f"### `{name}`"
        yield _table("Key", own)


def _section(name: str, kind: type[BaseModel]) -> Iterator[str]:
    """Yield a section and those within it; `name` is its path in the file."""
    inner = {key: field.annotation for key, field in kind.model_fields.items()}
    sections = {key: kind for key, kind in inner.items() if _is_section(kind)}
    tables = {key: kind.__args__[0] for key, kind in inner.items() if _is_list_of_sections(kind)}
    named = {key: kind.__args__[1] for key, kind in inner.items() if _is_dict_of_sections(kind)}
    without = {"destinations", *sections, *tables, *named}
    fields = {key: field for key, field in kind.model_fields.items() if key not in without}
    yield f"## `[{name}]`"
    yield cleandoc(kind.__doc__ or "")
    prefix = f"AUDITBUS_{name.replace('.', '_').upper()}_"
    yield _table("Variable", fields, prefix=prefix, section=name)
    for key, section in sections.items():
        yield from _section(f"{name}.{key}", section)
    for key, table in tables.items():
        yield f"### `[[{name}.{key}]]`"
        yield cleandoc(table.__doc__ or "")
        yield _table("Key", table.model_fields)
    for key, table in named.items():
        yield f"### `[{name}.{key}.NAME]`"
        yield cleandoc(table.__doc__ or "")
        yield _table("Key", table.model_fields)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_list_of_sections(kind: Any) -> bool:
    return get_origin(kind) is tuple and any(map(_is_section, get_args(kind)))


def _is_dict_of_sections(kind: Any) -> bool:
    return get_origin(kind) is dict and _is_section(get_args(kind)[1])


def _table(
    heading: str, fields: Mapping[str, FieldInfo], *, prefix: str = "", section: str = ""
) -> str:
    keys = bool(prefix)
    head = [heading, *(["In the file"] if keys else []), "Default", "Meaning"]
    lines = [_row(head), _row(["---"] * len(head))]
    for key, field in fields.items():
        name = f"`{prefix}{key.upper()}`" if keys else f"`{key}`"
        in_file = [f"`{section}.{key}`" if section else f"`{key}`"] if keys else []
        secret = " *Secret.*" if "SecretStr" in str(field.annotation) else ""
        meaning = f"{cleandoc(field.description or '')}{secret}".replace("\n", " ")
        lines.append(_row([name, *in_file, _default(field), meaning]))
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`" if str(value) else "empty"


def _catalogue() -> str:
    head = ["Action", "Category", "Operation", "Severity", "Signal", "Description"]
    rows = [
        [
            f"`{action.name}`",
            action.category,
            action.operation,
            action.severity.value,
            "yes" if action.signal else "",
            action.description,
        ]
        for action in Catalogue.builtin().values()
    ]
    return "\n".join(_row(cells) for cells in [head, ["---"] * len(head), *rows])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
