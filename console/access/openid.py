"""Sign-in by OpenID Connect: the authorization code flow, checked as the specification says.

OpenID Connect Core 1.0 §3.1 (code flow, ID token validation), Discovery 1.0 §4, RFC 7636 (PKCE),
RFC 9207 (`iss` in the answer), RFC 9700 (security of OAuth 2.0).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError

from auditbus.console.access.provider import Provider
from auditbus.console.access.sign_in_errors import ProviderUnreachable, SignInRefused
from auditbus.runtime.settings import OidcSettings

__all__ = ["Begun", "OpenIdConnect"]

_TIMEOUT_S = 10.0
_LEEWAY_S = 60
_MAX_TEXT = 255
_REFUSED = "The provider's answer can't be trusted. Start again."


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: where to send the browser, and what only that browser keeps."""

    url: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class OpenIdConnect:
    """One provider. Safe for many threads; `begin` and `finish` block while they ask it."""

    def __init__(self, settings: OidcSettings, redirect_uri: str) -> None:
        """Ask nothing yet: a provider that is down keeps nobody from starting the console."""
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._provider = Provider(settings.issuer, _TIMEOUT_S)

    def begin(self) -> Begun:
        """Return where to send the browser. Raises ProviderUnreachable."""
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)
        endpoint = self._provider.endpoint("authorization_endpoint")
        with self._client() as client:
            url, _ = client.create_authorization_url(
                endpoint, state=state, code_verifier=verifier, nonce=nonce
            )
        return Begun(url, state, nonce, verifier)

    def finish(self, begun: Begun, answer: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the claims about who has signed in; `answer` is the callback's query.

        Raises SignInRefused where anything is not as it must be, and ProviderUnreachable.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise SignInRefused("This sign-in was not begun here. Start again.", "state")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise SignInRefused(_REFUSED, "iss of the answer")
        if "error" in answer:
            raise SignInRefused("The provider refused the sign-in.", "error of the provider")
        token = self._token(begun, answer.get("code", ""))
        claims = self._verified(token, begun.nonce)
        return self._with_user_info(claims, token.get("access_token"))

    def _client(self) -> OAuth2Session:
        settings = self._settings
        secret = settings.client_secret and settings.client_secret.get_secret_value()
        client = OAuth2Session(
            settings.client_id,
            secret,
            token_endpoint_auth_method=settings.client_auth if secret else "none",
            scope=" ".join(settings.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_S,
        )
        client.max_redirects = 0
        return client

    def _token(self, begun: Begun, code: str) -> Mapping[str, Any]:
        if not code:
            raise SignInRefused(_REFUSED, "no code")
        try:
            with self._client() as client:
                token: Mapping[str, Any] = client.fetch_token(
                    self._provider.endpoint("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=begun.verifier,
                )
                return token
        except AuthlibBaseError as error:
            raise SignInRefused("The provider refused the sign-in.", _reason(error)) from error
        except (requests.RequestException, ValueError) as error:
            raise ProviderUnreachable from error

    def _verified(self, token: Mapping[str, Any], nonce: str) -> CodeIDToken:
        value = token.get("id_token")
        if not isinstance(value, str):
            raise SignInRefused(_REFUSED, "no ID token")
        settings = self._settings
        try:
            decoded = self._decoded(value)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": settings.issuer},
                    "aud": {"essential": True, "value": settings.client_id},
                    "sub": {"essential": True},
                },
                {
                    "nonce": nonce,
                    "client_id": settings.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError) as error:
            raise SignInRefused(_REFUSED, f"ID token: {_reason(error)}") from error
        return claims

    def _decoded(self, value: str) -> jwt.Token:
        """Verify the signature; once more with fresh keys, as a provider changes them."""
        algorithms = self._provider.algorithms()
        try:
            return jwt.decode(value, self._provider.keys(), algorithms=algorithms)
        except (JoseError, ValueError):
            if not self._provider.forget_keys():
                raise
            return jwt.decode(value, self._provider.keys(), algorithms=algorithms)

    def _with_user_info(self, claims: CodeIDToken, access_token: object) -> Mapping[str, Any]:
        """Add what the provider tells only there. What the ID token says stands."""
        wanted = {
            self._settings.subject_claim,
            self._settings.name_claim,
            self._settings.actor_id_claim,
            self._settings.accounts_claim,
            self._settings.organizations_claim,
            *(rule.claim for rule in self._settings.rules),
        }
        missing = wanted - claims.keys() - {""}
        if not missing or not isinstance(access_token, str):
            return claims
        info = self._provider.user_info(access_token)
        if info and info.get("sub") != claims["sub"]:  # Core §5.3.2: another's, or a forged one
            raise SignInRefused(_REFUSED, "sub of the user info")
        return {**info, **claims}


def _reason(error: Exception) -> str:
    return str(getattr(error, "error", type(error).__name__))[:_MAX_TEXT]
