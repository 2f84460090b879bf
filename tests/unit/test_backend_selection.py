"""Which real parts the integration tests run on, as AUDITBUS_TEST_BACKEND says."""

import pytest

from tests.backends import selection
from tests.backends.selection import Backend, select_backend

_FAULT = "nobody listens"


@pytest.mark.parametrize(
    ("wanted", "fault", "backend"),
    [
        (None, None, Backend.CONTAINERS),
        (None, _FAULT, Backend.LOCAL),
        ("auto", None, Backend.CONTAINERS),
        ("auto", _FAULT, Backend.LOCAL),
        ("containers", None, Backend.CONTAINERS),
        ("local", None, Backend.LOCAL),
        ("local", _FAULT, Backend.LOCAL),
    ],
)
def test_the_backend_is_the_one_that_is_wanted_and_there(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, fault: str | None, backend: Backend
) -> None:
    monkeypatch.setattr(selection, "engine_fault", lambda: fault)
    monkeypatch.delenv("AUDITBUS_TEST_BACKEND", raising=False)
    if wanted is not None:
        monkeypatch.setenv("AUDITBUS_TEST_BACKEND", wanted)
    assert select_backend() is backend


def test_containers_that_are_demanded_and_not_there_are_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "engine_fault", lambda: _FAULT)
    monkeypatch.setenv("AUDITBUS_TEST_BACKEND", "containers")
    monkeypatch.delenv("AUDITBUS_TEST_REQUIRE_PARTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=_FAULT):
        select_backend()


def test_a_run_that_must_prove_the_real_parts_fails_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "engine_fault", lambda: _FAULT)
    monkeypatch.setenv("AUDITBUS_TEST_BACKEND", "containers")
    monkeypatch.setenv("AUDITBUS_TEST_REQUIRE_PARTS", "1")
    with pytest.raises(pytest.fail.Exception, match=_FAULT):
        select_backend()


def test_a_backend_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITBUS_TEST_BACKEND", "docker")
    with pytest.raises(ValueError, match="docker"):
        select_backend()
