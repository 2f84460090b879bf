"""An OpenID Connect provider to the specification that signs what a test tells it to.

Discovery 1.0, Core 1.0 §3.1.3 (token endpoint), RFC 7517 (keys). It checks the PKCE verifier.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

Claims = dict[str, Any]


@dataclass
class ForgingProvider:
    """`forge` makes the ID token from the claims that would be right."""

    issuer: str = ""
    client_id: str = "auditbus"
    key: RSAKey = field(default_factory=lambda: _new_key("one"))
    forge: Callable[[Claims, RSAKey], str] = field(default_factory=lambda: signed)
    user_info: Claims | None = None
    metadata: Claims = field(default_factory=dict)
    keys_asked: int = 0
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on, and publish only that one."""
        self.key = _new_key(kid)

    def authorize(self, url: str) -> dict[str, str]:
        """Take the console's authorization request as a browser brings it; return the answer."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == self.client_id
        code = f"code-{len(self._asked)}"
        self._asked[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def describe(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/me",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def keys(self) -> Claims:
        self.keys_asked += 1
        return dict(KeySet([self.key]).as_dict(private=False))

    def token(self, form: dict[str, str]) -> tuple[int, Claims]:
        asked = self._asked.pop(form.get("code", ""), None)
        challenge = _base64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "ann",
            "aud": self.client_id,
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
        }
        token = self.forge(claims, self.key)
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token}


def signed(claims: Claims, key: RSAKey, **header: str) -> str:
    return jwt.encode({"alg": "RS256", "kid": str(key.kid), **header}, claims, key)


def compact(header: Claims, claims: Claims, sign: Callable[[bytes], bytes]) -> str:
    """Return a token of whatever kind: the libraries refuse to forge (RFC 7515 §7.1)."""
    parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, _base64(sign(".".join(parts).encode()))])


def hmac_sha256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.digest(secret, text, "sha256")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def forging_provider() -> Iterator[ForgingProvider]:
    """Yield one that serves on loopback until the block ends."""
    provider = ForgingProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/.well-known/openid-configuration":
                    self._answer(200, provider.describe())
                case "/keys":
                    self._answer(200, provider.keys())
                case "/me":
                    self._answer(200, {"sub": "ann"} | (provider.user_info or {}))
                case _:
                    self._answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*provider.token(form))

        def _answer(self, status: int, body: Claims) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


def _new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})
