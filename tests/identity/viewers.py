"""A product's backend: its key, and the viewer tokens it signs, good and bad."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import OKPKey
from starlette.testclient import TestClient

from tests.console import ORIGIN


def _new_pair() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@dataclass
class Backend:
    """Signs as a product does. `kid` is what the console called its key."""

    issuer: str = "https://app.example.com"
    key: OKPKey = field(default_factory=_new_pair)
    kid: str = ""

    def register(self, administrator: TestClient, **bounds: Any) -> None:
        """Let the console know the key."""
        public = self.key.as_pem(private=False).decode()
        answer = administrator.post(
            "/api/v1/viewer-keys", json={"issuer": self.issuer, "public_key": public, **bounds}
        )
        assert answer.status_code == 201, answer.text
        self.kid = answer.json()["id"]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return claims that are right but for `changed`; `...` leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": ORIGIN,
            "sub": "user-7",
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, *, kid: str | None = None, **changed: Any) -> str:
        """Return a token with these claims."""
        header = {"alg": "Ed25519", "kid": self.kid if kid is None else kid}
        return jwt.encode(header, self.claims(**changed), self.key, algorithms=["Ed25519"])
