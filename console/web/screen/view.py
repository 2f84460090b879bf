"""What the URL of a view says. Every view has one, and equal views have equal ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin
from urllib.parse import urlencode

from auditbus.console.web.asking import FilterQuery

__all__ = ["ALL_TIME", "DEFAULT_SINCE", "FILTERS", "View"]

ALL_TIME = "all"
DEFAULT_SINCE = "30d"

FILTERS = tuple(
    name for name, item in FilterQuery.model_fields.items() if get_origin(item.annotation) is list
)
"""The filters of which several values may be given, in the order of the URL."""
_RANGE = ("since", "until")
_PLACES = ("older_than", "newer_than")
_SINGLE = ("scope", "text", *_RANGE, *_PLACES, "tz", "live", "counts")
_ORDER = ("scope", "text", *FILTERS, *_RANGE, *_PLACES, "tz", "live", "counts")


@dataclass(frozen=True, slots=True)
class View:
    """The parameters of a URL that mean something, each value once, in one order."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> View:
        """Return the view that the pairs of a query string describe; never raises.

        What is empty or unknown is left out; of what may be given once, the last counts.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name, text in pairs:
            value = text.strip()
            if not value or name not in _ORDER:
                continue
            before = () if name in _SINGLE else found.get(name, ())
            found[name] = before if value in before else (*before, value)
        return cls({name: found[name] for name in _ORDER if name in found})

    def one(self, name: str) -> str:
        """Return the value of what may be given once; empty where it is not given."""
        return next(iter(self.values.get(name, ())), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a filter."""
        return self.values.get(name, ())

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query string taken apart."""
        return [(name, value) for name, values in self.values.items() for value in values]

    @property
    def query(self) -> str:
        """The query string, without `?`."""
        return urlencode(self.pairs)

    def url(self, path: str = "/") -> str:
        """Return the address of this view at `path`."""
        return f"{path}?{self.query}" if self.values else path

    def but(self, **changes: str | None) -> View:
        """Return the view with single values replaced, or removed by None, from its first page."""
        kept = [pair for pair in self.pairs if pair[0] not in {*changes, *_PLACES}]
        new = [(name, value) for name, value in changes.items() if value is not None]
        return View.of([*kept, *new])

    def adding(self, name: str, value: str) -> View:
        """Return the view narrowed to one more value of a filter, from its first page."""
        return View.of([*self.but().pairs, (name, value)])

    def removing(self, name: str, value: str) -> View:
        """Return the view without one value of a filter, from its first page."""
        return View.of([pair for pair in self.but().pairs if pair != (name, value)])

    def toggling(self, name: str, value: str) -> View:
        """Return the view with the value if it lacks it, else without."""
        has = value in self.all(name)
        return self.removing(name, value) if has else self.adding(name, value)

    def unfiltered(self) -> View:
        """Return the view without search and filters; scope, range and time zone stay."""
        return self.but(text=None, **dict.fromkeys(FILTERS))

    @property
    def is_filtered(self) -> bool:
        """Whether there is anything to clear."""
        return bool(self.filters) or bool(self.one("text"))

    @property
    def filters(self) -> list[tuple[str, str]]:
        """Every filter that is set, and its value."""
        return [pair for pair in self.pairs if pair[0] in FILTERS]

    @property
    def is_first_page(self) -> bool:
        """Whether it shows the newest events."""
        return not any(name in self.values for name in _PLACES)

    @property
    def since(self) -> str | None:
        """The lower bound as the API knows it; None for all of the log."""
        if not any(name in self.values for name in _RANGE):
            return DEFAULT_SINCE
        return None if self.one("since") in {"", ALL_TIME} else self.one("since")

    def for_api(self) -> str:
        """Return the query string that asks the API for the same events."""
        named = {"scope", "text", *FILTERS}
        kept = [pair for pair in self.pairs if pair[0] in named]
        bounds = [("since", self.since), ("until", self.one("until"))]
        return urlencode([*kept, *((name, value) for name, value in bounds if value)])

    def filter_query(self) -> FilterQuery:
        """Return the same for the query; raises pydantic's ValidationError for an unknown scope."""
        fields: dict[str, Any] = {name: list(self.all(name)) for name in FILTERS}
        return FilterQuery(
            scope=self.one("scope") or None,  # pydantic checks it
            text=self.one("text") or None,
            since=self.since,
            until=self.one("until") or None,
            **fields,
        )
