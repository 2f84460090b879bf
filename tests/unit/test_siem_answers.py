"""What answers mean: Retry-After, status codes, the circuit, the addresses that are refused."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.circuit import Circuit, CircuitState
from auditbus.sinks.siem.destinations.http import classify
from auditbus.sinks.siem.http_client import Answer
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome, Rejected
from auditbus.sinks.siem.retry_after import parse_retry_after
from auditbus.sinks.siem.target_guard import TargetGuard, TargetRefused, is_public

_NOW = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999999", 3600.0),
        ("Mon, 23 Nov 2026 10:00:30 GMT", 30.0),
        ("Monday, 23-Nov-26 10:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 10:00:30 -0000", 30.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 10:00:00 GMT", 3600.0),
        ("-5", None),
        ("1.5", None),
        ("\u0661\u0662", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, _NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_takes_any_text(header: str) -> None:
    seconds = parse_retry_after(header, _NOW)
    assert seconds is None or 0 <= seconds <= 3600


def _classify(status: int, retry_after: str | None = None) -> Outcome:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return classify(Answer(status, headers, b"said"), "said", _NOW)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (301, Failed("http_301", "HTTP 301")),
        (404, Failed("http_404", "HTTP 404")),
        (500, Failed("http_500", "HTTP 500")),
        (429, Failed("http_429", "HTTP 429", None, throttled=True)),
        (502, Failed("http_502", "HTTP 502", None, throttled=True)),
        (503, Failed("http_503", "HTTP 503", None, throttled=True)),
        (504, Failed("http_504", "HTTP 504", None, throttled=True)),
        (400, Rejected("http_400", "HTTP 400", "said")),
        (422, Rejected("http_422", "HTTP 422", "said")),
        (413, Rejected("http_413", "HTTP 413: too large", "said", too_large=True)),
    ],
)
def test_status_codes(status: int, outcome: Outcome) -> None:
    assert _classify(status) == outcome


@pytest.mark.parametrize("status", [401, 403, 407, 410])
def test_status_codes_for_a_person(status: int) -> None:
    outcome = _classify(status)
    assert isinstance(outcome, Blocked)
    assert outcome.final == (status == 410)


def test_a_throttled_answer_keeps_its_retry_after() -> None:
    assert _classify(429, "17") == Failed("http_429", "HTTP 429", 17.0, throttled=True)


@given(st.integers(100, 599))
def test_only_success_counts_as_delivered(status: int) -> None:
    assert isinstance(_classify(status), Delivered) == (200 <= status < 300)


def _circuit() -> tuple[Circuit, list[CircuitState]]:
    seen: list[CircuitState] = []
    return Circuit(Backoff(1.0, 60.0, lambda: 1.0), seen.append), seen


def test_the_circuit_opens_after_failures_in_a_row_and_tries_one() -> None:
    circuit, seen = _circuit()
    circuit.fail(0.0)
    circuit.fail(0.0)
    circuit.succeed()
    circuit.fail(0.0)
    circuit.fail(0.0)
    assert circuit.try_acquire(0.0)
    circuit.fail(0.0)
    assert not circuit.try_acquire(0.9)
    assert circuit.is_waiting(0.9)
    assert circuit.try_acquire(1.0)
    assert not circuit.try_acquire(1.0)  # one trial only
    circuit.fail(1.0)
    assert not circuit.try_acquire(2.9)  # the backoff has doubled
    assert circuit.try_acquire(3.0)
    circuit.succeed()
    assert circuit.try_acquire(3.0)
    assert seen == [
        CircuitState.OPEN,
        CircuitState.HALF_OPEN,
        CircuitState.OPEN,
        CircuitState.HALF_OPEN,
        CircuitState.CLOSED,
    ]


def test_an_earlier_success_does_not_cut_a_retry_after_short() -> None:
    circuit, _ = _circuit()
    circuit.open_for(0.0, 30.0)
    circuit.succeed()
    assert not circuit.try_acquire(29.0)
    assert circuit.try_acquire(30.0)


def test_many_failures_at_once_count_once_for_the_backoff() -> None:
    """A hundred requests that wait for one indexer fail together when it restarts."""
    circuit, _ = _circuit()
    for _ in range(100):
        circuit.fail(0.0)
    assert not circuit.try_acquire(0.9)
    assert circuit.try_acquire(1.0)


def test_a_final_block_never_tries_again() -> None:
    circuit, _ = _circuit()
    circuit.open_for(0.0, math.inf)
    circuit.open_for(0.0, 1.0)
    assert not circuit.try_acquire(1e12)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_addresses_inside_the_house_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def _resolver(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Only a name server that lies produces these answers; the test stands in for it."""
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda *_, **__: [(0, 0, 0, "", (address, 443)) for address in addresses],
    )


def test_the_guard_gives_only_allowed_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch, "10.0.0.1", "8.8.8.8", "::1")
    assert TargetGuard(allow_private=False).addresses("mixed.example", 443) == ["8.8.8.8"]
    _resolver(monkeypatch, "10.0.0.1", "127.0.0.1")
    with pytest.raises(TargetRefused, match="allow_private_targets"):
        TargetGuard(allow_private=False).addresses("inside.example", 443)
    assert TargetGuard(allow_private=True).addresses("inside.example", 443)
