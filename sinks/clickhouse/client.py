"""The ClickHouse client, made in one place for the sink, the migrations and the console."""

from __future__ import annotations

from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from auditbus.runtime.errors import ClickHouseUnreachable, SettingsError, StoreRefused
from auditbus.runtime.settings import ClickHouseSettings
from auditbus.sinks.clickhouse.error_codes import ServerCode, describe

__all__ = ["new_client"]

_LOGIN_FAILED = frozenset(
    {
        ServerCode.UNKNOWN_USER,
        ServerCode.WRONG_PASSWORD,
        ServerCode.REQUIRED_PASSWORD,
        ServerCode.AUTHENTICATION_FAILED,
    }
)


def new_client(settings: ClickHouseSettings) -> Client:
    """Connect over HTTP. Safe for several threads: no session, one connection a request.

    Raises ClickHouseUnreachable, StoreRefused when the login fails, and SettingsError for an
    address that is none; each names the setting.
    """
    url = urlsplit(settings.url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise SettingsError("clickhouse.url (AUDITBUS_CLICKHOUSE_URL): not http://HOST:PORT")
    password = settings.password.get_secret_value() if settings.password else ""
    try:
        return clickhouse_connect.get_client(
            interface=url.scheme,
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            username=settings.username,
            password=password,
            connect_timeout=settings.connect_timeout_s,
            send_receive_timeout=settings.request_timeout_s,
            autogenerate_session_id=False,
            # Compressing costs both sides more CPU than a local network costs time.
            compress=False,
            # The callers decide what is tried again, and count it.
            query_retries=0,
            client_name="auditbus",
        )
    except Error as error:
        if error.code in _LOGIN_FAILED:
            raise StoreRefused(
                "ClickHouse refuses the login; check AUDITBUS_CLICKHOUSE_USERNAME and "
                "AUDITBUS_CLICKHOUSE_PASSWORD"
            ) from error
        raise _unreachable(settings, error) from error
    except (ClickHouseError, OSError) as error:
        raise _unreachable(settings, error) from error


def _unreachable(settings: ClickHouseSettings, error: Exception) -> ClickHouseUnreachable:
    return ClickHouseUnreachable(
        f"ClickHouse at {settings.url} does not answer: {_cause(error)}; "
        "check AUDITBUS_CLICKHOUSE_URL"
    )


def _cause(error: BaseException) -> str:
    """Return what the system said, such as "Connection refused", from under the clients' words."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return describe(error) if isinstance(error, Error) else str(error)
