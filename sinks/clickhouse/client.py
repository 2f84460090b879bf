"""The ClickHouse client, made in one place for the sink, the migrations and the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from clickhouse_connect.driver.httputil import get_pool_manager

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


def new_client(
    settings: ClickHouseSettings,
    *,
    connections: int = 8,
    query_settings: Mapping[str, Any] | None = None,
) -> Client:
    """Connect over HTTP. Safe for several threads: no session, one connection a request.

    Keeps up to `connections` open. `query_settings` go along with every query.

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
            pool_mgr=get_pool_manager(maxsize=connections),
            settings=dict(query_settings or {}),
            # Parameters go into the body: a URL has no room for many or long ones.
            form_encode_query_params=True,
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
