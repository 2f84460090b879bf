"""Who may speak to the embedded store."""

import base64

import pytest

from auditbus.deploy.local.store.access import Access
from auditbus.deploy.local.store.errors import ErrorCode, Refused

ACCESS = Access("right")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (basic("default", "right"), {}),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": "right"}, {}),
        ({"X-ClickHouse-Key": "right"}, {}),
        ({}, {"user": "default", "password": "right"}),
        ({}, {"password": "right"}),
    ],
)
def test_the_password_is_taken_from_each_place(
    headers: dict[str, str], query: dict[str, str]
) -> None:
    ACCESS.check_password(headers, query)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {}),
        (basic("default", "wrong"), {}),
        (basic("default", ""), {}),
        (basic("other", "right"), {}),
        ({"Authorization": "Basic not base64"}, {"password": "right"}),
        ({"Authorization": "Bearer right"}, {}),
        ({"X-ClickHouse-Key": "wrong"}, {"password": "right"}),
        ({}, {"password": "rightt"}),
    ],
)
def test_anything_else_fails(headers: dict[str, str], query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        ACCESS.check_password(headers, query)
    assert refusal.value.code == ErrorCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "[::1]:8123", "LOCALHOST"])
def test_loopback_names_are_hosts(host: str) -> None:
    ACCESS.check_browser({"Host": host})
    ACCESS.check_browser({"Host": host, "Origin": f"http://{host}"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "evil.example:8123"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "localhost:8123", "Origin": "http://evil.example"},
        {"Host": "localhost:8123", "Origin": "null"},
        {"Host": "localhost:8123", "Origin": "https://localhost:8123"},
        {"Host": "localhost:8123", "Origin": "http://localhost:3000"},
        {"Host": "localhost:8123", "Sec-Fetch-Site": "cross-site"},
        {"Host": "localhost:8123", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_foreign_pages_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        ACCESS.check_browser(headers)
    assert refusal.value.code == ErrorCode.ACCESS_DENIED


def test_the_password_is_not_shown() -> None:
    assert "right" not in repr(ACCESS)
