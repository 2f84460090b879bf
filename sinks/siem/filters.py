"""Which events a destination gets: `[forwarder.destinations.NAME.filter]`.

A filter never fails open. An event goes to a filtered destination only where every key of the
filter can be judged and says yes; a field that is missing or of a wrong type says no, to an
`exclude_` key too. What is no JSON object is a dead letter, as without a filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from auditbus.runtime.errors import SettingsError
from auditbus.schemas.catalogue import Catalogue, Severity
from auditbus.schemas.errors import InvalidEvent
from auditbus.schemas.event import ACTION_PATTERN
from auditbus.schemas.validation import parse_object
from auditbus.sinks.siem.encodings.event import Event, Unencodable

__all__ = ["FilterSettings", "Predicate", "compile_filter"]

Predicate = Callable[[Event], bool]
"""Whether an event is wanted. Raises Unencodable where readers may disagree on what it says."""

_OTHER = "other"  # category of an action that no catalogue has
_Text = Annotated[str, StringConstraints(min_length=1)]
_Texts = Annotated[tuple[_Text, ...], Field(min_length=1)]
_Action = Annotated[str, StringConstraints(pattern=f"^{ACTION_PATTERN}$")]
_Actions = Annotated[tuple[_Action, ...], Field(min_length=1)]
_Outcomes = Annotated[tuple[Literal["success", "failure", "unknown"], ...], Field(min_length=1)]


class FilterSettings(BaseModel):
    """What a destination gets: events that every key of the filter agrees to.

    Values are compared exactly. Several values of one key mean any of them.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    accounts: _Texts | None = None
    """Only these accounts, by id."""
    exclude_accounts: _Texts | None = None
    """Not these accounts. An event without an account passes neither key."""
    actions: _Actions | None = None
    """Only these actions."""
    exclude_actions: _Actions | None = None
    """Not these actions."""
    categories: _Texts | None = None
    """Only these categories of the catalogue; `other` is that of an action it does not know."""
    exclude_categories: _Texts | None = None
    """Not these categories."""
    outcome: _Outcomes | None = None
    """Only success, failure or unknown. None said: failure where there is an error, else success.
    """
    minimum_severity: Severity | None = None
    """Only actions at least so severe in the catalogue; one it does not know counts as `low`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise PydanticCustomError("filter", "is empty: leave the table out, or give it a key")
        return self


def compile_filter(
    settings: FilterSettings, catalogue: Catalogue, *, raw: bool, path: str
) -> Predicate:
    """Return the predicate; `raw`: the events are of the raw topic, unjudged and unenriched.

    Raises SettingsError naming `path.key` for a category that the catalogue does not have: it may
    be misspelt, and an excluded one would go out.
    """
    for key in ("categories", "exclude_categories"):
        _check_categories(getattr(settings, key) or (), catalogue, f"{path}.{key}")
    read_category = _catalogued(catalogue) if raw else _category
    tests = [
        *_tests(_account, settings.accounts, settings.exclude_accounts),
        *_tests(_action, settings.actions, settings.exclude_actions),
        *_tests(read_category, settings.categories, settings.exclude_categories),
        *_tests(_outcome, settings.outcome, None),
        *_severe_enough(settings.minimum_severity, catalogue),
    ]

    def is_wanted(event: Event) -> bool:
        if raw:
            _check_spelling(event.value)
        return all(test(event.fields) for test in tests)

    return is_wanted


_Fields = Mapping[str, Any]
_Read = Callable[[_Fields], str | None]
_Test = Callable[[_Fields], bool]


def _tests(
    read: _Read, wanted: tuple[str, ...] | None, unwanted: tuple[str, ...] | None
) -> list[_Test]:
    """Return the tests of one field; None, which cannot be judged, passes neither."""
    tests: list[_Test] = []
    if wanted:
        included = frozenset(wanted)
        tests.append(lambda fields: read(fields) in included)
    if unwanted:
        excluded = frozenset(unwanted)
        tests.append(lambda fields: (text := read(fields)) is not None and text not in excluded)
    return tests


def _severe_enough(minimum: Severity | None, catalogue: Catalogue) -> list[_Test]:
    if minimum is None:
        return []
    known = frozenset(catalogue)
    severe = frozenset(
        name for name, action in catalogue.items() if action.severity.rank >= minimum.rank
    )
    unknown = catalogue.describe("").severity.rank >= minimum.rank
    return [
        lambda fields: (
            (action := _action(fields)) is not None
            and (action in severe or (unknown and action not in known))
        )
    ]


def _account(fields: _Fields) -> str | None:
    account = fields.get("account")
    return _text(account.get("id")) if isinstance(account, dict) else None


def _action(fields: _Fields) -> str | None:
    action = _text(fields.get("action"))
    return action if action is not None and _is_action(action) else None


def _category(fields: _Fields) -> str | None:
    return _text(fields.get("category"))


def _catalogued(catalogue: Catalogue) -> _Read:
    def read(fields: _Fields) -> str | None:
        action = _action(fields)  # a client's own `category` would be a forgery
        return None if action is None else catalogue.describe(action).category

    return read


def _outcome(fields: _Fields) -> str | None:
    outcome, error = fields.get("outcome"), fields.get("error")
    if outcome is not None:
        return _text(outcome)
    if error is None:
        return "success"
    return "failure" if isinstance(error, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


_is_action = re.compile(ACTION_PATTERN).fullmatch


def _check_spelling(value: bytes) -> None:
    """Refuse a repeated key: of two accounts, this reader takes one and the SIEM the other."""
    try:
        parse_object(value)
    except InvalidEvent as error:
        raise Unencodable(error.code, error.reason) from None


def _check_categories(categories: tuple[str, ...], catalogue: Catalogue, path: str) -> None:
    known = {action.category for action in catalogue.values()} | {_OTHER}
    if unknown := sorted(set(categories) - known):
        raise SettingsError(
            f"{path}: the catalogue has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
