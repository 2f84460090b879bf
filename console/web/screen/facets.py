"""The facets beside the table: what there is, how often, and what a click on it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditbus.console.query.statistics import FacetValue
from auditbus.console.web.screen.view import View

__all__ = ["TITLES", "Facet", "FacetItem", "facets_of"]

TITLES = {
    "outcome": "Outcome",
    "action": "Action",
    "category": "Category",
    "account": "Account",
    "user": "User",
    "country": "Country",
    "device": "Device",
    "ip": "IP",
    "target": "Target",
    "error": "Error",
    "id": "Event",
}


@dataclass(frozen=True, slots=True)
class FacetItem:
    """One value. `count` is None where it is chosen but does not occur."""

    value: str
    label: str
    count: int | None
    share: float
    url: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a column, and those chosen."""

    name: str
    title: str
    items: list[FacetItem]


def facets_of(found: Mapping[str, Sequence[FacetValue]], view: View) -> list[Facet]:
    """Return the facets in the order in which they are shown."""
    return [
        Facet(name, title, _items(name, found[name], view))
        for name, title in TITLES.items()
        if name in found
    ]


def _items(name: str, values: Sequence[FacetValue], view: View) -> list[FacetItem]:
    chosen = view.all(name)
    most = max((value.count for value in values), default=1)
    found = [
        FacetItem(
            item.value,
            item.label or item.value,
            item.count,
            round(100 * item.count / most, 1),
            view.toggling(name, item.value).url(),
            item.value in chosen,
        )
        for item in values
    ]
    named = {item.value for item in values}
    rare = [
        FacetItem(value, value, None, 0, view.removing(name, value).url(), is_chosen=True)
        for value in chosen
        if value not in named
    ]
    return [*rare, *found]
