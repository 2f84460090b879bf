"""The console with two tenants and everyone who may ask it, for tests that attack it.

Every route is enumerated, so that no new one is forgotten.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from auditbus.console.access import Role
from auditbus.console.access.records import ApiToken
from auditbus.console.access.register import Register
from auditbus.console.access.secret import new_token, secret_hash
from auditbus.console.access.sign_ins import token_id
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.console import console_app, program, serving
from tests.identity.viewers import Backend
from tests.routes import KnownRoute, every_route
from tests.store import encode, enriched_event

# The only pages that anybody may ask for. A new route that is not among them must refuse.
_PUBLIC = {
    *("/healthz", "/readyz", "/metrics", "/openapi.json", "/embed", "/sign-out"),
    *("/sign-in", "/sign-in/sign-in.js", "/sign-in/sign-in.css"),
    *("/sign-in/oidc", "/sign-in/oidc/callback"),
}
_PUBLIC_FILES = ("/static/", "/favicon.ico")
ADMINISTRATORS_ONLY = tuple(
    f"/api/v1/{name}"
    for name in ("tokens", "grants", "organizations", "viewer-keys", "retention", "holds")
)
_READ_S = 0.6  # how long a stream is listened to
_MAX_READ_BYTES = 512 * 1024
MARKS = ("zqours", "zqtheirs")


@dataclass
class Tenant:
    """An account, one of its events, and the mark that stands in every text of it."""

    account: str
    mark: str
    event: dict[str, Any] = field(default_factory=dict)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Running:
    url: str
    app: FastAPI
    register: Register
    ours: Tenant
    theirs: Tenant
    tokens: dict[str, str]
    backend: Backend

    @property
    def routes(self) -> list[KnownRoute]:
        return every_route(self.app)

    @property
    def guarded(self) -> list[KnownRoute]:
        return [
            route
            for route in self.routes
            if route.path not in _PUBLIC and not route.path.startswith(_PUBLIC_FILES)
        ]

    def ask(self, route: KnownRoute, token: str | None, **options: Any) -> Answer:
        """Ask as a program, for something of the other tenant; read streams for a moment."""
        headers = {"accept": "text/html", **options.pop("headers", {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if route.method != "GET":
            options.setdefault("json", {"name": "x", "subject": "x", "accounts": []})
        with requests.request(
            route.method,
            self.url + self.path(route),
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(5, 20),
            **options,
        ) as response:
            return Answer(response.status_code, dict(response.headers), _read(response))

    def path(self, route: KnownRoute) -> str:
        parts = []
        for part in route.path.split("/"):
            name = part.strip("{}").partition(":")[0]
            filled = {
                "token_id": token_id(self.tokens["auditor"]),
                "key_id": self.backend.kid,
                "name": "organization",
                "subject": "subject",
                "version": "1",
            }.get(name, self.theirs.event["id"])
            parts.append(filled if part.startswith("{") else part)
        return "/".join(parts)


def _read(response: requests.Response) -> str:
    """Return the body; of a stream, what came within a moment."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if not is_stream:
        return response.content[:_MAX_READ_BYTES].decode("utf-8", "replace")
    body, deadline = b"", time.monotonic() + _READ_S
    response.raw._fp.fp.raw._sock.settimeout(_READ_S)  # type: ignore[union-attr]
    try:
        while time.monotonic() < deadline and (chunk := response.raw.read1(65536)):
            body += chunk
    except (TimeoutError, requests.RequestException, OSError):
        pass
    except Exception as error:
        if "timed out" not in str(error):
            raise
    return body.decode("utf-8", "replace")


def _tenant(store: Client, account: str, mark: str) -> Tenant:
    event = enriched_event(
        account,
        account={"id": account, "name": f"{mark} account"},
        action=f"Did{mark}",
        actor={"type": "user", "id": f"{mark}-1", "name": f"{mark} name", "email": f"{mark}@x.org"},
        targets=[{"type": "storage", "id": f"{mark}-t", "name": f"{mark} target"}],
        description=f"{mark} description",
        error={"code": f"E-{mark}", "message": f"{mark} error"},
        context={"ip": "203.0.113.7", "user_agent": f"{mark} agent", "request_id": f"{mark}-r"},
        category=f"{mark}_category",
        location={"country_code": "GB", "country": f"{mark} land", "label": f"{mark} place"},
        device={"type": f"{mark} type", "label": f"{mark} device", "browser": f"{mark} b"},
        metadata={"secret": f"{mark} metadata"},
        changes=[{"field": "x", "before": f"{mark} before", "after": f"{mark} after"}],
    )
    Writer(store).insert([encode(event)], f"test:{event['id']}")
    return Tenant(account, mark, event)


def _api_token(register: Register, **granted: Any) -> str:
    now = datetime.now(UTC)
    values = {"role": "member", "name": "test", "expires_at": now + timedelta(days=1), **granted}
    secret = new_token()
    register.tokens.put(
        ApiToken(
            id=token_id(secret),
            secret_hash=secret_hash(secret),
            created_at=now,
            created_by="test",
            **values,
        )
    )
    return secret


@contextmanager
def attackable(store: Client) -> Iterator[Running]:
    """Serve the application to two tenants, and make a token of every kind."""
    unique = uuid7()[-8:]
    ours = _tenant(store, f"ours-{unique}", f"{MARKS[0]}{unique}")
    theirs = _tenant(store, f"theirs-{unique}", f"{MARKS[1]}{unique}")
    app = console_app(store)
    register = app.state.services.access.register
    backend = Backend()
    with program(app) as administrator:
        backend.register(administrator, role="auditor", accounts=[ours.account])
        made = {"name": f"org-{unique}", "accounts": [ours.account]}
        assert administrator.post("/api/v1/organizations", json=made).status_code == 204
    past = datetime.now(UTC) - timedelta(seconds=1)
    tokens = {
        "nobody": _api_token(register),
        "member": _api_token(register, accounts=(ours.account,), actor_id=f"{ours.mark}-1"),
        "auditor": _api_token(register, role=Role.AUDITOR, organizations=(f"org-{unique}",)),
        "viewer": backend.token(
            role="auditor", accounts=[ours.account], actor_id=f"{theirs.mark}-1"
        ),
        "expired": _api_token(register, expires_at=past, role=Role.ADMINISTRATOR),
        "revoked": _api_token(register, role=Role.ADMINISTRATOR, gone=True),
    }
    with serving(app) as url:
        yield Running(url, app, register, ours, theirs, tokens, backend)
