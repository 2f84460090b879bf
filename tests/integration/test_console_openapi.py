"""Schemathesis asks the real application what its OpenAPI document promises."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from requests import codes
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, ORIGIN, console_app
from tests.store import migrated_client

_EXAMPLES = 20
_HOST = ORIGIN.removeprefix("http://")
_HEADERS = {"Authorization": f"Bearer {ADMINISTRATOR}", "Host": _HOST}
# Its answer has no end: see test_console_tail.py.
_ENDLESS = "/api/v1/tail"


@pytest.fixture(scope="module")
def operations(clickhouse: ClickHouse) -> list[Any]:
    store = migrated_client(clickhouse)
    app = console_app(store, requests_per_s=100_000)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": _HOST})
    found = [one.ok() for one in schema.get_all_operations()]
    return [one for one in found if one.path != _ENDLESS]


def test_the_application_keeps_what_its_document_promises(operations: list[Any]) -> None:
    """With what fits the document, and with what does not."""
    failures: dict[str, str] = {}
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                _try(operation, mode)
            except (Exception, FailureGroup) as failure:  # noqa: BLE001  # all at once
                failures[f"{operation.label} {mode.value}"] = str(failure)
    assert not failures, "\n\n".join(f"{name}: {text}" for name, text in failures.items())


def _try(operation: Any, mode: schemathesis.GenerationMode) -> None:
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except schemathesis.errors.SchemathesisError:
        return

    @given(strategy)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def asked(case: schemathesis.Case) -> None:
        answer = case.call(headers=_HEADERS)
        # Its checks know of no 413, which any large enough body gets: test_console_perimeter.py.
        assume(answer.status_code != codes.request_entity_too_large)
        case.validate_response(
            answer,
            headers=_HEADERS,
            transport_kwargs={"headers": dict(_HEADERS)},
            # A text of punctuation alone, a range that ends before it begins: no schema says that.
            excluded_checks=[positive_data_acceptance],
        )

    # Where nothing is asked for, nothing can be wrong.
    with suppress(Unsatisfiable) if mode.is_negative else nullcontext():
        asked()


def test_every_operation_says_how_it_refuses(operations: list[Any]) -> None:
    assert len(operations) > 5
    for operation in operations:
        responses = operation.definition.raw["responses"]
        assert {"401", "429"} <= responses.keys(), operation.label
