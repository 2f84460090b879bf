"""A role whose packages are missing says which extra to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auditbus.runtime.errors import MissingExtra

__all__ = ["requires_extra"]


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Turn a ModuleNotFoundError of a third-party package within into MissingExtra(extra)."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("auditbus"):
            raise
        raise MissingExtra(extra, error.name or "a package") from error
