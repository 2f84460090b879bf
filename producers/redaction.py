"""Take the secrets out of an event before anything of it leaves the process.

Two steps. `is_clean` tells in two or three microseconds that an event holds nothing to redact: most
do not. It knows the names and the texts that it has met before, as most of an event repeats, and
looks at the new ones alone. Only otherwise is the event made anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

import msgspec
import orjson

from auditbus.producers.context import BoundMembers
from auditbus.producers.screening import Screen
from auditbus.producers.secret_names import SecretNames
from auditbus.producers.secret_patterns import MARK, MIN_CARD, SecretPattern, SecretPatterns
from auditbus.schemas.event import (
    Account,
    Actor,
    AuditEvent,
    Context,
    Credential,
    Delegate,
    EventError,
    Target,
)

__all__ = ["Redactor"]

_TOP_LEVEL = frozenset(AuditEvent.__struct_fields__)
# What keys, order and deduplication stand on is never altered by a pattern.
_IDENTITY = frozenset({"id", "schema_version", "action", "occurred_at", "outcome"})
# Here a number of sixteen digits is rather an id than a card.
_ID_NAMES = frozenset({"id", "request_id", "session_id", "trace_id"})
_ID_HOLDERS = frozenset({"actor", "targets", "context", "producer"})
_LABELS = ("field", "name", "key", "header")
_LABELLED = frozenset({"value", "before", "after", "old", "new", "old_value", "new_value"})
_NEVER_SECRET = frozenset({float, bool, type(None), UUID, datetime, date, time})
# Structures whose members the schema names. A Change may hide its values by its `field`.
_STRUCTURES = frozenset({Account, Actor, Context, Credential, Delegate, EventError, Target})
_MAX_KNOWN, _MAX_KNOWN_CHARACTERS = 4096, 64
_MAX_MET, _MAX_MET_CHARACTERS = 8192, 256
# The names that the schema itself gives inside its objects, without `credential`.
_SCHEMA_NAMES = (  # noqa: SIM905 -- words read better than thirty lines
    "type id name email on_behalf_of ip forwarded_for user_agent client_hints request_id session_id"
    " trace_id code message service version instance epoch seq field before after redacted"
).split()


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
        schema = {*_TOP_LEVEL, *_SCHEMA_NAMES}
        self._known: set[str] = set()
        self._met: set[str] = set()
        self._structures: frozenset[type] = frozenset()
        if not any(map(self._is_secret_name, schema)):
            self._structures = _STRUCTURES
            self._known |= schema - _LABELLED
        self._enabled = True

    @classmethod
    def off(cls) -> Redactor:
        """Return one that does nothing."""
        redactor = cls()
        redactor._enabled = False
        return redactor

    def is_clean(self, fields: dict[str, Any]) -> bool:
        """Tell quickly whether the event needs no walk.

        Never True where `redacted` would change something; False may be a false alarm. `fields` is
        an event that could be encoded: no lone surrogates, no keys that are no text.
        """
        if not self._enabled:
            return True
        if not self._known.issuperset(fields) and not self._learn(fields, None):
            return False
        met = self._met
        new: list[str] = []
        pending: list[Any] = []
        for name, value in fields.items():
            kind = type(value)
            if kind is str:
                if value not in met and name not in _IDENTITY:
                    new.append(value)
            elif kind is dict or kind is list:
                pending.append(value)
            elif kind is BoundMembers:
                if value.clean_for is not self and not self._bound_is_clean(name, value):
                    return False
            elif kind is not int or value >= MIN_CARD:
                pending.append((value,))
        if not self._gather(pending, new, fields.get("actor")):
            return False
        return not new or self._meet_clean(new)

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
            elif name in _IDENTITY:
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

    def _bound_is_clean(self, name: str, members: BoundMembers) -> bool:
        """Judge what is bound when it is first met: the other events of the request need not."""
        if not self.is_clean({name: dict(members)}):
            return False
        members.clean_for = self
        return True

    def _gather(self, pending: list[Any], new: list[str], actor: Any) -> bool:  # noqa: C901 -- one branch a type
        """Add all texts in `pending` that were not met before to `new`.

        False where a name or a type asks for the walk.
        """
        known, met = self._known, self._met
        for container in pending:  # which grows meanwhile
            if type(container) is dict:
                if not known.issuperset(container):
                    exempt = "credential" if container is actor else None
                    if not self._learn(container, exempt):
                        return False
                container = container.values()
            for member in container:
                kind = type(member)
                if kind is str:
                    if member not in met:
                        new.append(member)
                elif kind is dict or kind is list or kind is tuple:
                    pending.append(member)
                elif kind is int:
                    if member >= MIN_CARD:
                        new.append(str(member))
                elif kind in self._structures:
                    pending.append([getattr(member, name) for name in member.__struct_fields__])
                elif kind not in _NEVER_SECRET:
                    return False
        return True

    def _meet_clean(self, texts: list[str]) -> bool:
        """Tell whether all texts are clean, false alarms of the screen too, and know them then."""
        if not self._screen.all_clean(texts):
            redact = self._patterns.redact
            if any(not self._screen(text) and redact(text) is not text for text in texts):
                return False
        self._meet(texts)
        return True

    def _meet(self, texts: list[str]) -> None:
        """Know clean texts from now on."""
        if len(self._met) > _MAX_MET:
            self._met = set()  # begin anew: what repeats is soon met again
        self._met.update([text for text in texts if len(text) <= _MAX_MET_CHARACTERS])

    def _learn(self, members: dict[str, Any], exempt: str | None) -> bool:
        """Tell whether no name asks for the walk, and know the names from now on."""
        for name in members:
            if name in self._known or name == exempt:
                continue
            if self._is_secret_name(name) or not self._screen(name):
                return False
            if name in _LABELLED or len(name) > _MAX_KNOWN_CHARACTERS:
                continue
            if len(self._known) < _MAX_KNOWN:
                self._known.add(name)
        return _LABELLED.isdisjoint(members) or not self._label_is_secret(members)

    def _label_is_secret(self, members: dict[Any, Any]) -> bool:
        return any(
            isinstance(label := members.get(name), str) and self._is_secret_name.in_path(label)
            for name in _LABELS
        )

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
        if isinstance(value, str):
            text = value if type(value) is str else str.__str__(value)
            found = self._text(text)
            return value if found is text else found
        if value is None or isinstance(value, bool | float):
            return value
        if type(value) is int:
            return self._patterns.redact_number(value)
        if isinstance(value, dict):
            return self._members(value, ids=ids, keep=keep)
        if isinstance(value, list | tuple):
            walked = [self._walk(member, ids=ids) for member in value]
            is_same = all(new is old for new, old in zip(walked, value, strict=True))
            return value if is_same else walked
        plain = _plain(value)
        found = self._walk(plain, ids=ids, keep=keep)
        return value if found is plain else found

    def _text(self, text: str, *, cards: bool = True) -> str:
        return text if self._screen(text) else self._patterns.redact(text, cards=cards)

    def _members(self, members: dict[str, Any], *, ids: bool, keep: str | None) -> dict[str, Any]:
        labelled = not _LABELLED.isdisjoint(members) and self._label_is_secret(members)
        clean: dict[str, Any] = {}
        changed = False
        for name, value in members.items():
            is_hidden = (labelled and name in _LABELLED) or (
                name != keep and self._is_secret(name, value)
            )
            if is_hidden and not _holds_nothing(value):
                new: Any = MARK
            elif ids and name in _ID_NAMES and isinstance(value, str | int):
                new = self._text(value, cards=False) if type(value) is str else value
            else:
                new = self._walk(value, ids=ids)
            changed |= self._add(clean, name, new) or new is not value
        return clean if changed else members

    def _is_secret(self, name: str, value: Any) -> bool:
        is_count = type(value) in (int, float) and name[-1:] in "sS"  # max_tokens
        return not is_count and self._is_secret_name(name)

    def _add(self, clean: dict[str, Any], name: str, value: Any) -> bool:
        """Put a member into `clean`, its name without secrets; tell whether the name changed."""
        shown = base = self._text(name)
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
