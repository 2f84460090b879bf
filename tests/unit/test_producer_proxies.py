"""The client's address behind proxies, and what a request tells, hostile headers included."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.producers.http_request import CLIENT_HINTS, RequestReader
from auditbus.producers.proxies import (
    TrustedProxies,
    address_in,
    forwarded_chain,
    x_forwarded_chain,
)
from auditbus.schemas import is_uuid7
from auditbus.streams.enrichment import client_hints

PROXIES = ["10.0.0.0/8", "fd00::/8"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the client's own word
        ("10.0.0.1", "203.0.113.9, 10.0.0.3 ,10.0.0.2", "203.0.113.9"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),  # the peer is no proxy of ours
        ("10.0.0.1", "10.0.0.4, 10.0.0.3", "10.0.0.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, garbage, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8::1, fd00::2", "2001:db8::1"),
        ("10.0.0.1", ",, 203.0.113.9 ,,", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 999.1.1.1", "10.0.0.1"),
        (None, "203.0.113.9", None),
        ("testclient", "203.0.113.9", "testclient"),
    ],
)
def test_x_forwarded_for_is_walked_from_the_right(
    peer: str | None, header: str, client: str | None
) -> None:
    assert TrustedProxies(PROXIES).client(peer, x_forwarded_chain(header)) == client


def test_nobody_is_trusted_by_default_and_a_unix_socket_can_be() -> None:
    assert TrustedProxies().client("10.0.0.1", ["203.0.113.9"]) == "10.0.0.1"
    assert TrustedProxies(["unix"]).client(None, ["6.6.6.6", "203.0.113.9"]) == "203.0.113.9"
    assert TrustedProxies(["unix"]).client("10.0.0.1", ["203.0.113.9"]) == "10.0.0.1"


@pytest.mark.parametrize(
    ("header", "chain"),
    [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]),
        ("for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]),
        ('For="[2001:db8:cafe::17]:4711"', ["[2001:db8:cafe::17]:4711"]),
        ('for="_gazonk", for=unknown', ["_gazonk", "unknown"]),
        ('host="a, b";for="192.0.2.1"', ["192.0.2.1"]),
        ('for="a\\"b"', ['a"b']),
        ("proto=https", ["unknown"]),
        ("for=1.1.1.1;; proto=x , ,for=2.2.2.2", ["1.1.1.1", "2.2.2.2"]),
        # What a client opens and never closes swallows nothing that a proxy has added.
        ('for="6.6.6.6, for=192.0.2.1', ["192.0.2.1"]),
        ('for=6.6.6.6;x=", for="[2001:db8::1]"', ["[2001:db8::1]"]),
        ('for=6.6.6.6;a=", for=192.0.2.1;host=";x="', ["192.0.2.1"]),
        ("for=a b, for=192.0.2.1", ["192.0.2.1"]),
        ("", []),
        ("=,=;", []),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(header: str, chain: list[str]) -> None:
    assert forwarded_chain(header) == chain


def test_an_obfuscated_hop_ends_the_walk() -> None:
    chain = forwarded_chain('for=6.6.6.6, for="_hidden", for=10.0.0.2')
    assert TrustedProxies(PROXIES).client("10.0.0.1", chain) == "10.0.0.2"


@given(st.text('for="[]:;,=\\ 0123456789abcdef._unkow\t', max_size=80))
def test_what_a_client_writes_never_changes_what_the_proxy_added(prefix: str) -> None:
    for proxied in ("203.0.113.9", '"[2001:db8::1]:80"'):
        chain = forwarded_chain(f"{prefix}, for={proxied};proto=https")
        assert chain[-1] == proxied.strip('"')
    assert x_forwarded_chain(f"{prefix}, 203.0.113.9")[-1] == "203.0.113.9"


@pytest.mark.parametrize("fragment", [",", '"', "for=", 'for="', ";", "a=b,", "for=1.1.1.1,", "\\"])
def test_a_hostile_header_costs_little(fragment: str) -> None:
    header = fragment * (65_536 // len(fragment))
    start_s = time.process_time()
    assert len(forwarded_chain(header)) <= 16
    assert len(x_forwarded_chain(header)) <= 16
    assert all(len(hop) <= 64 for hop in x_forwarded_chain(header))
    assert time.process_time() - start_s < 0.5


@pytest.mark.parametrize("text", ["", "unknown", "_x", "8.8.8", "1.2.3.4.5", "[", "[]:1", "::g"])
def test_what_is_no_address(text: str) -> None:
    assert address_in(text) is None


@pytest.mark.parametrize("networks", [["10.0.0.0/33"], ["proxy"], ["10.0.0.1/8"], "10.0.0.0/8"])
def test_a_wrong_network_is_refused(networks: Any) -> None:
    with pytest.raises(ValueError, match="trusted proxies"):
        TrustedProxies(networks)


def read(
    headers: dict[str, str], peer: str | None = "192.0.2.1", **settings: Any
) -> dict[str, Any]:
    return RequestReader(**settings)(peer, headers.get)


def test_a_request_says_who_where_and_which() -> None:
    assert read(
        {
            "user-agent": "curl/8",
            "x-request-id": "r-1",
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            "x-forwarded-for": "6.6.6.6",
            "sec-ch-ua-platform": '"Windows"',
            "sec-ch-ua-arch": '"x86"',
        }
    ) == {
        "ip": "192.0.2.1",
        "forwarded_for": ["6.6.6.6"],
        "user_agent": "curl/8",
        "client_hints": {"sec-ch-ua-platform": '"Windows"'},
        "request_id": "r-1",
        "trace_id": TRACE,
    }


def test_only_the_chosen_header_is_believed() -> None:
    headers = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=203.0.113.9"}
    found = read(headers, trusted_proxies=["192.0.2.1"], forwarded_header="forwarded")
    assert found["ip"] == "203.0.113.9"
    assert found["forwarded_for"] == ["203.0.113.9"]
    with pytest.raises(ValueError, match="forwarded_header"):
        read({}, forwarded_header="x-real-ip")


def test_a_missing_or_hostile_request_id_is_replaced() -> None:
    for hostile in (None, "", "a b", "x" * 129, "<script>", "é", "a\n"):
        headers = {} if hostile is None else {"x-request-id": hostile}
        if hostile == "a\n":
            assert read(headers)["request_id"] == "a"
        else:
            assert is_uuid7(read(headers)["request_id"])
    assert read({"x-amzn-id": "r"}, request_id_header="X-Amzn-Id")["request_id"] == "r"


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-x", f"00-{TRACE}-00f067aa0ba902b7", "x",
    ],
)  # fmt: skip
def test_a_wrong_traceparent_is_none(traceparent: str) -> None:
    assert "trace_id" not in read({"traceparent": traceparent})


def test_a_later_version_of_traceparent_is_read() -> None:
    assert read({"traceparent": f"01-{TRACE}-00f067aa0ba902b7-01-more"})["trace_id"] == TRACE


def test_long_headers_are_cut() -> None:
    found = read({"user-agent": "x" * 100_000, "sec-ch-ua": "y" * 100_000})
    assert len(found["user_agent"]) == 2048
    assert len(found["client_hints"]["sec-ch-ua"]) == 256


def test_the_hints_are_those_that_the_stream_reads() -> None:
    assert client_hints._NAMES == CLIENT_HINTS
    assert client_hints._HINT_CHARS == 256
