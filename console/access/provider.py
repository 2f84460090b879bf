"""What an OpenID Connect provider says about itself, and its keys, each kept for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key

from auditbus.console.access.sign_in_errors import ProviderUnreachable, SignInRefused

__all__ = ["Provider"]

# Signatures that need the provider's private key: with HS256, who knows its public key could sign.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_KEPT_S = 3600.0
_KEYS_KEPT_S = 600.0
_REFRESH_S = 10.0  # keys are asked for again at most so often, whoever sends unknown ones
_MAX_BYTES = 1024 * 1024
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Provider:
    """Safe for many threads. Every method may ask the provider, and raise ProviderUnreachable."""

    def __init__(
        self, issuer: str, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nothing yet."""
        self._issuer = issuer
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def endpoint(self, name: str) -> str:
        """Return an endpoint's address, https or on this machine."""
        address = self._described().get(name)
        if not isinstance(address, str) or not _is_safe(address):
            raise ProviderUnreachable
        return address

    def algorithms(self) -> list[str]:
        """Return the signatures to accept: those we know to be safe of those it makes."""
        made = self._described().get("id_token_signing_alg_values_supported", ["RS256"])
        return [name for name in _ALGORITHMS if name in made]

    def keys(self) -> KeySet:
        """Return its public keys."""
        with self._lock:
            if self._keys is not None and self._clock() - self._keys[0] < _KEYS_KEPT_S:
                return self._keys[1]
        found = self._get(self.endpoint("jwks_uri"))
        try:
            # One that is of a kind we do not know must not hide the others.
            keys = KeySet([key for key in map(_key, found.get("keys", ())) if key is not None])
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise ProviderUnreachable from error
        with self._lock:
            self._keys = (self._clock(), keys)
        return keys

    def forget_keys(self) -> bool:
        """Ask for the keys again next time; False where they have only just been asked for."""
        with self._lock:
            if self._keys is not None and self._clock() - self._keys[0] < _REFRESH_S:
                return False
            self._keys = None
            return True

    def user_info(self, access_token: str) -> Mapping[str, Any]:
        """Return the claims of the user info endpoint (Core §5.3); none where there is none."""
        if "userinfo_endpoint" not in self._described():
            return {}
        return self._get(
            self.endpoint("userinfo_endpoint"), {"Authorization": f"Bearer {access_token}"}
        )

    def _described(self) -> Mapping[str, Any]:
        with self._lock:
            if self._metadata is not None and self._clock() - self._metadata[0] < _KEPT_S:
                return self._metadata[1]
        found = self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:  # Discovery §4.3
            raise SignInRefused("The sign-in provider is not the one it should be.", "issuer")
        with self._lock:
            self._metadata = (self._clock(), found)
        return found

    def _get(self, url: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        try:
            with requests.get(
                url,
                headers={"Accept": "application/json", **(headers or {})},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise ProviderUnreachable
                body = response.raw.read(_MAX_BYTES + 1, decode_content=True)
                if len(body) > _MAX_BYTES:
                    raise ProviderUnreachable
                found = orjson.loads(body)
        except (requests.RequestException, ValueError) as error:
            raise ProviderUnreachable from error
        if not isinstance(found, dict):
            raise ProviderUnreachable
        return cast("Mapping[str, Any]", found)


def _key(value: Any) -> Key | None:
    try:
        return import_key(value)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _is_safe(address: str) -> bool:
    try:
        url = urlsplit(address)
    except ValueError:
        return False
    return url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
