"""The generated JSON Schema: up to date, and of one opinion with validate()."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditbus.schemas.json_schema import FILES, write
from tests.unit.schema_events import BAD, FULL, GOOD

_FOLDER = Path(__file__).parents[2] / "schemas/json"


def _schema(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text())


_accepts = Draft202012Validator(_schema("audit-event.v1.schema.json")).is_valid
_accepts_enriched = Draft202012Validator(_schema("enriched-event.v1.schema.json")).is_valid


def test_the_files_are_up_to_date(tmp_path: Path) -> None:
    write(tmp_path)
    for name in FILES:
        assert (_FOLDER / name).read_text() == (tmp_path / name).read_text(), (
            "run: python -m auditbus.schemas.json_schema"
        )
    assert {path.name for path in _FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_json_schemas(name: str) -> None:
    Draft202012Validator.check_schema(_schema(name))


@pytest.mark.parametrize("name", GOOD)
def test_the_json_schema_accepts_what_validate_accepts(name: str) -> None:
    assert _accepts(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_the_json_schema_refuses_what_validate_refuses_but_for_what_it_cannot_say(
    name: str,
) -> None:
    event, _, _, schema_refuses = BAD[name]
    assert _accepts(event) is not schema_refuses


def test_the_enriched_schema_wants_what_the_stream_adds() -> None:
    added = {
        "received_at": "2026-11-22T10:00:00.456Z",
        "category": "storage",
        "operation": "delete",
        "location": {},
        "device": {},
        "origin": {"topic": "audit.events", "partition": 0, "offset": 7},
    }
    assert _accepts_enriched({**FULL, **added})
    assert not _accepts({**FULL, **added})
    for name in added:
        assert not _accepts_enriched({**FULL, **added, name: 7})
        without = {key: value for key, value in {**FULL, **added}.items() if key != name}
        assert not _accepts_enriched(without)
