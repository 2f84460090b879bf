"""Viewer tokens: a product's backend signs one for its own user, who so sees the embedded screen.

A JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037). The console knows the backend's public
key alone, so nothing in its store could sign one. RFC 8725 (best practices): the algorithm is
pinned, the key is the one that `kid` names, and issuer, audience and lifetime are checked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from auditbus.console.access.principal import RANKS, Principal, Role
from auditbus.console.access.records import ViewerKey
from auditbus.console.access.register import Register
from auditbus.console.access.sign_in_errors import SignInRefused

__all__ = ["MAX_LIFETIME_S", "Viewer", "ViewerTokens", "public_key_of"]

_ALGORITHMS = ["EdDSA", "Ed25519"]  # here one algorithm by two names: RFC 8037, RFC 9864
MAX_LIFETIME_S = 15 * 60
_LEEWAY_S = 30
_MAX_LENGTH = 3_500  # what a cookie holds
_MAX_ACCOUNTS = 100
_MAX_TEXT = 255
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # RFC 7515 §7.1
_KEY_MEMBERS = ("crv", "kty", "x")


def _registry() -> jws.JWSRegistry:
    """Return the one of our algorithm. It allows nothing else, `none` least of all."""
    # The older name may mean other curves too, of which the library warns; our keys have but one.
    older = copy(jws.JWSRegistry.algorithms["Ed25519"])
    older.name = "EdDSA"
    registry = jws.JWSRegistry(algorithms=_ALGORITHMS)
    registry.algorithms = {**registry.algorithms, "EdDSA": older}
    return registry


_REGISTRY = _registry()


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who a viewer token speaks for, and until when."""

    principal: Principal
    seconds_left: int


class ViewerTokens:
    """Judges viewer tokens. Safe for many threads; raises what the store's client raises."""

    def __init__(
        self, register: Register, audience: str, now: Callable[[], float] = time.time
    ) -> None:
        """`audience` is the console's own origin: a token for another console is none here."""
        self._register = register
        self._audience = audience
        self._now = now

    def judge(self, token: str) -> Viewer:
        """Return whom it speaks for. Raises SignInRefused where anything is not as it must be."""
        if len(token) > _MAX_LENGTH:
            raise SignInRefused("The viewer token is too long.", "viewer token: length")
        if not _COMPACT.fullmatch(token):  # it becomes a cookie as it is
            raise _refused("not a token")
        key = self._key(token)
        try:
            public = OKPKey.import_key(orjson.loads(key.public_key))
            claims = jwt.decode(token, public, registry=_REGISTRY).claims
            self._check(claims, key)
        except (JoseError, ValueError, TypeError) as error:
            reason = str(getattr(error, "error", "") or "signature")
            raise _refused(reason) from error
        return Viewer(self._principal(claims, key), int(claims["exp"] - self._now()))

    def _key(self, token: str) -> ViewerKey:
        try:
            header = jws.extract_compact(token.encode()).protected
        except (JoseError, ValueError) as error:
            raise _refused("not a token") from error
        kid = header.get("kid")
        if not isinstance(kid, str) or (key := self._register.viewer_keys.get(kid)) is None:
            raise _refused("kid")
        return key

    def _check(self, claims: Mapping[str, Any], key: ViewerKey) -> None:
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": key.issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        )
        registry.validate(dict(claims))
        if claims["exp"] - claims["iat"] > MAX_LIFETIME_S:
            raise _refused("lifetime")
        if claims["exp"] <= self._now():
            raise _refused("expired")

    def _principal(self, claims: Mapping[str, Any], key: ViewerKey) -> Principal:
        """Return whom the claims name; more than the key may show is refused, not cut."""
        try:
            role = Role(claims.get("role", Role.MEMBER))
        except ValueError:
            raise _refused("role") from None
        if RANKS[role] > min(RANKS[key.role], RANKS[Role.AUDITOR]):
            raise _refused("role")
        accounts = _texts(claims, "accounts")
        bounds = None
        if not key.any_account:
            bounds = frozenset(key.accounts) | self._register.accounts_of(key.organizations)
            if not bounds.issuperset(accounts):
                raise _refused("accounts")
        subject = _text(claims, "sub")
        if not subject:
            raise _refused("sub")
        return Principal(
            f"viewer:{key.id}:{subject}",
            _text(claims, "name") or subject,
            role,
            actor_id=_text(claims, "actor_id"),
            accounts=frozenset(accounts),
            bounds=bounds,
        )


def public_key_of(text: str) -> str:
    """Return a public key given as PEM or as a JSON Web Key in the form that is kept.

    Raises ValueError for anything but an Ed25519 public key; a private one is refused too, as it
    should have stayed where it was.
    """
    try:
        key = OKPKey.import_key(orjson.loads(text) if text.lstrip().startswith("{") else text)
        members = key.as_dict()
    except (JoseError, ValueError, TypeError):
        raise ValueError("not a public key, as PEM or as a JSON Web Key") from None
    if key.is_private:
        raise ValueError("this is a private key: make a new pair, and send the public one")
    if members.get("crv") != "Ed25519":
        raise ValueError("not an Ed25519 key")
    return orjson.dumps({name: members[name] for name in _KEY_MEMBERS}).decode()


def _refused(reason: str) -> SignInRefused:
    return SignInRefused(
        "The viewer token is wrong, has expired or was revoked.", f"viewer token: {reason}"
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _refused(name)
    return value


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    values = claims.get(name, [])
    if not isinstance(values, list) or len(values) > _MAX_ACCOUNTS:
        raise _refused(name)
    if not all(isinstance(value, str) and 0 < len(value) <= _MAX_TEXT for value in values):
        raise _refused(name)
    return values
