"""Take the secrets out of an event before anything of it leaves the process.

Two steps. `is_clean` tells in two or three microseconds that an event holds nothing to redact, as
most do (`inspection.py`). Only otherwise is the event made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import orjson

from auditbus.producers.inspection import IDENTITY, LABELLED, Inspection
from auditbus.producers.raw_screening import Suspicion, raw_screen
from auditbus.producers.screening import Screen
from auditbus.producers.secret_names import SecretNames
from auditbus.producers.secret_patterns import MARK, SecretPattern, SecretPatterns
from auditbus.schemas.event import AuditEvent

__all__ = ["Redactor"]

_TOP_LEVEL = frozenset(AuditEvent.__struct_fields__)
# Here a number of sixteen digits is rather an id than a card.
_ID_NAMES = frozenset({"id", "request_id", "session_id", "trace_id"})
_ID_HOLDERS = frozenset({"actor", "targets", "context", "producer"})


class Redactor:
    """The rules. Build one and hand it to the producer; safe between threads.

    By name: the value of a key that is the name of a secret, at any depth, is replaced whole; so
    are `before` and `after` of a change whose `field` is one, and `value` beside a `name`. null,
    true, false and the empty text stay: they hold no secret. By form: within every text, and card
    numbers among the whole numbers. The mark is `[redacted]`, and a change gets `redacted: true`.

    Never altered: `id`, `action`, `occurred_at` and `account.id`, because keys, order and
    deduplication stand on them; and card numbers in the ids of actor, targets and context, where
    sixteen digits are rather an id.
    """

    def __init__(
        self,
        *,
        names: Iterable[str] = (),
        patterns: Iterable[SecretPattern] = (),
        allow: Iterable[str] = (),
        without: Iterable[str] = (),
    ) -> None:
        """Start from the built-in rules.

        names     more names of secrets ("license_plate"), compared by words.
        patterns  more forms of secrets.
        allow     names that are no secret here ("session_token").
        without   built-in patterns to leave out, by name ("card", "assignment", ...).

        Raises ValueError for a wrong regex and for a pattern that does not exist.
        """
        patterns, without = tuple(patterns), tuple(without)
        self._is_secret_name = SecretNames(names, allow)
        self._patterns = SecretPatterns(self._is_secret_name, patterns, without)
        self._screen = Screen(pattern.hint for pattern in patterns)
        self._inspection = Inspection(self._is_secret_name, self._screen, self._patterns.redact)
        self._without, self._has_own_patterns = without, bool(patterns)
        self._enabled = True

    @classmethod
    def off(cls) -> Redactor:
        """Return one that does nothing."""
        redactor = cls()
        redactor._enabled = False
        return redactor

    def is_clean(self, fields: dict[str, Any], view: AuditEvent | None = None) -> bool:
        """Tell quickly whether the event needs no walk.

        Never True where `redacted` would change something; False may be a false alarm. `fields` is
        an event that could be encoded: no lone surrogates, no keys that are no text. `view` is its
        typed view, where there is one: a StrictEvent spares looking at most names.
        """
        return not self._enabled or self._inspection.is_clean(fields, view)

    def raw_screen(self) -> Callable[[bytes], Suspicion] | None:
        """Return what judges an encoded event by its bytes; None where they can't tell."""
        if self._has_own_patterns:
            return None
        return raw_screen(self._without, self._is_secret_name.more)

    def names_are_clean(self, fields: dict[str, Any]) -> bool:
        """Tell, of an event that a parser of JSON gave, that no name asks for the walk."""
        return self._inspection.names_are_clean(fields)

    def redacted(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the event without its secrets: JSON types alone. `fields` is not changed."""
        if not self._enabled:
            return fields
        clean: dict[str, Any] = {}
        unknown = {name: value for name, value in fields.items() if name not in _TOP_LEVEL}
        unknown_clean = iter(self._members(unknown, ids=False, keep=None).items())
        for name, value in fields.items():
            if name in unknown:
                shown, new = next(unknown_clean)
                clean[shown] = new
            elif name in IDENTITY:
                clean[name] = value
            elif name == "account":
                clean[name] = self._account(value)
            elif name == "actor":
                clean[name] = self._walk(value, ids=True, keep="credential")
            elif name == "changes":
                clean[name] = self._changes(value)
            else:
                clean[name] = self._walk(value, ids=name in _ID_HOLDERS)
        return clean

    def _account(self, account: Any) -> Any:
        given = account if isinstance(account, dict) else _plain(account)
        walked = self._walk(given)
        if walked is given:
            return account
        return (
            {**walked, "id": given["id"]} if isinstance(given, dict) and "id" in given else walked
        )

    def _changes(self, changes: Any) -> Any:
        if not isinstance(changes, list | tuple):
            return self._walk(changes)
        clean = []
        for change in changes:
            walked = self._walk(change)
            if walked is not change and isinstance(walked, dict):
                walked = {**walked, "redacted": True}
            clean.append(walked)
        return clean

    def _walk(self, value: Any, *, ids: bool = False, keep: str | None = None) -> Any:
        """Return `value` without its secrets; the very same object where it holds none."""
        kind = type(value)
        if kind is str:
            return self._inspection.redacted_text(value)
        if isinstance(value, dict):
            return self._members(value, ids=ids, keep=keep)
        if kind is int:
            return self._patterns.redact_number(value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, list | tuple):
            walked = [self._walk(member, ids=ids) for member in value]
            is_same = all(new is old for new, old in zip(walked, value, strict=True))
            return value if is_same else walked
        plain = str.__str__(value) if isinstance(value, str) else _plain(value)
        found = self._walk(plain, ids=ids, keep=keep)
        return value if found is plain else found

    def _members(self, members: dict[str, Any], *, ids: bool, keep: str | None) -> dict[str, Any]:
        is_harmless = self._inspection.is_harmless
        labelled = self._inspection.hides_labelled(members)
        clean: dict[str, Any] = {}
        changed = False
        for name, value in members.items():
            harmless = is_harmless(name)
            is_hidden = not harmless and (
                (labelled and name in LABELLED) or (name != keep and self._is_secret(name, value))
            )
            if is_hidden and not _holds_nothing(value):
                new: Any = MARK
            elif ids and name in _ID_NAMES and isinstance(value, str | int):
                new = self._id(value) if type(value) is str else value
            else:
                new = self._walk(value, ids=ids)
            if harmless and name not in clean:
                clean[name] = new
            else:
                changed |= self._add(clean, name, new)
            changed |= new is not value
        return clean if changed else members

    def _id(self, text: str) -> str:
        return text if self._screen(text) else self._patterns.redact(text, cards=False)

    def _is_secret(self, name: str, value: Any) -> bool:
        is_count = type(value) in (int, float) and name[-1:] in "sS"  # max_tokens
        return not is_count and self._is_secret_name(name)

    def _add(self, clean: dict[str, Any], name: str, value: Any) -> bool:
        """Put a member into `clean`, its name without secrets; tell whether the name changed."""
        shown = base = self._inspection.redacted_text(name)
        count = 1
        while shown in clean:
            count += 1
            shown = f"{base} ({count})"
        clean[shown] = value
        return shown != name


def _holds_nothing(value: Any) -> bool:
    return value is None or value is True or value is False or value in ("", MARK)


def _plain(value: Any) -> Any:
    """Return what JSON makes of a structure, a dataclass, a datetime, an Enum."""
    return orjson.loads(orjson.dumps(value, _encode_struct))


def _encode_struct(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(type(value).__name__)
