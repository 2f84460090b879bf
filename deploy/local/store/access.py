"""Who may speak to the store at all.

A loopback port is open to every web page in the user's browser: a page may POST to it (the answer
is hidden from the page, the DROP is done), or rebind its own host name to 127.0.0.1. So besides the
password, the Host must be a loopback name and a browser's Origin must be none but the store's own.
No `WWW-Authenticate` is ever sent: a browser must not ask for the password and keep it for other
pages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from auditbus.deploy.local.store.errors import ErrorCode, Refused

__all__ = ["Access"]

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_USER = "default"


@dataclass(frozen=True, slots=True)
class Access:
    """The password of the only user; both checks raise Refused."""

    password: str = field(repr=False)

    def check_browser(self, headers: Mapping[str, str]) -> None:
        """Refuse what a foreign web page could send, whether or not it knows the password."""
        host = urlsplit(f"//{headers.get('Host', '')}").hostname
        if host not in _LOOPBACK_NAMES:
            raise Refused(ErrorCode.ACCESS_DENIED, "the Host header does not name this machine")
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{headers['Host']}":
            raise Refused(ErrorCode.ACCESS_DENIED, "requests from another origin are refused")
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Refused(ErrorCode.ACCESS_DENIED, "requests from another site are refused")

    def check_password(self, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        """Accept HTTP Basic, X-ClickHouse-User and -Key, or `user` and `password` in the URL."""
        user, password = _credentials(headers, query)
        right = hmac.compare_digest(password.encode(), self.password.encode())
        if user != _USER or not right:
            raise Refused(
                ErrorCode.AUTHENTICATION_FAILED,
                f"the user is {_USER!r}, the password that of AUDITBUS_CLICKHOUSE_PASSWORD",
            )


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    if "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", _USER), headers["X-ClickHouse-Key"]
    return query.get("user", _USER), query.get("password", "")
