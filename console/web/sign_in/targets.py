"""Where to go after signing in: a page of this console, and nowhere else."""

from __future__ import annotations

import re

__all__ = ["local_target"]

# A path, a query. `//host` and `/\\host` are other hosts to a browser; it drops tabs and newlines.
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_MAX_LENGTH = 4_000


def local_target(text: str | None) -> str:
    """Return `text` where it is a page of ours, else `/`."""
    if text and len(text) <= _MAX_LENGTH and _LOCAL.fullmatch(text):
        return text
    return "/"
