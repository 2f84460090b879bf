"""Secrets that the console makes: API tokens and session cookies. It keeps only their hashes."""

from __future__ import annotations

import hashlib
import secrets
import string

__all__ = ["TOKEN_PREFIX", "new_secret", "new_token", "secret_hash"]

TOKEN_PREFIX = "abt_"  # noqa: S105 -- not a secret, but how one begins
"""How API tokens begin, so that scanners of source code and logs know one when they see it."""

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43  # 62^43 > 2^256


def new_secret() -> str:
    """Return 256 random bits as letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def new_token() -> str:
    """Return the secret of a new API token."""
    return TOKEN_PREFIX + new_secret()


def secret_hash(secret: str) -> str:
    """Return the SHA-256 in hexadecimal. No salt, no stretching: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
