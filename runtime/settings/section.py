"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

__all__ = ["Origins", "Section", "Words"]


class Section(BaseModel):
    """Settings that belong together: frozen, closed, and what is wrong is never quoted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""In a variable, separated by commas."""

_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.*:\[\]-]+$")]
Origins = Annotated[tuple[_Origin, ...], BeforeValidator(_split)]
"""`https://app.example.com`, `https://*.example.com`; in a variable, separated by commas."""
