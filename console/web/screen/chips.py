"""The filters that are set, each with the address that removes it."""

from __future__ import annotations

from dataclasses import dataclass

from auditbus.console.web.screen.facets import TITLES
from auditbus.console.web.screen.view import View

__all__ = ["Chip", "chips_of"]


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter."""

    name: str
    title: str
    label: str
    remove_url: str


def chips_of(view: View, labels: dict[tuple[str, str], str]) -> list[Chip]:
    """Return a chip for each filter; `labels` names values whose text is an id."""
    found = [
        Chip(
            name,
            TITLES.get(name, name),
            labels.get((name, value), value),
            view.removing(name, value).url(),
        )
        for name, value in view.filters
    ]
    if text := view.one("text"):
        found.insert(0, Chip("text", "Search", text, view.but(text=None).url()))
    return found
