"""Names and ids that people give, as the API and the command line take them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

__all__ = ["Ids", "Text"]

# No control characters, no marks that turn text around: these names stand in pages and in logs.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_PRINTABLE)]
Ids = Annotated[tuple[Text, ...], Field(max_length=10_000)]
