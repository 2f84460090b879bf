"""Know in two or three microseconds that an event holds no secret: most hold none.

Most of an event repeats: who acts, for whom, with what. So the names, the texts and the structures
that were found clean are remembered, within limits, and only what is new is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

import msgspec

from auditbus.producers.context import BoundMembers
from auditbus.producers.screening import UUID_CHARACTERS, Screen, is_uuid
from auditbus.producers.secret_names import SecretNames
from auditbus.producers.secret_patterns import MIN_CARD
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
from auditbus.schemas.strict import (
    StrictAccount,
    StrictActor,
    StrictContext,
    StrictCredential,
    StrictDelegate,
    StrictError,
    StrictEvent,
    StrictTarget,
)

__all__ = ["IDENTITY", "LABELLED", "Inspection"]

# What keys, order and deduplication stand on is never altered by a pattern.
IDENTITY = frozenset({"id", "schema_version", "action", "occurred_at", "outcome"})
# Values that a label beside them names.
LABELLED = frozenset({"value", "before", "after", "old", "new", "old_value", "new_value"})
_LABELS = ("field", "name", "key", "header")
_NEVER_SECRET = frozenset({float, bool, type(None), UUID, datetime, date, time})
# Structures whose members the schema names. A Change may hide its values by its `field`.
_STRUCTURES = frozenset({Account, Actor, Context, Credential, Delegate, EventError, Target}) | {
    StrictAccount, StrictActor, StrictContext, StrictCredential, StrictDelegate, StrictError,
    StrictTarget,
}  # fmt: skip
_MAX_KNOWN, _MAX_KNOWN_CHARACTERS = 4096, 64
_MAX_MET, _MAX_MET_CHARACTERS = 8192, 256
_CONTAINERS = frozenset({dict, list})  # of what a parser of JSON gives
_NO_PARTS: list[object] = []
_join = "\0".join
_members_of = msgspec.structs.astuple
# The names that the schema itself gives inside its objects, without `credential`.
_SCHEMA_NAMES = (  # noqa: SIM905 -- words read better than thirty lines
    "type id name email on_behalf_of ip forwarded_for user_agent client_hints request_id session_id"
    " trace_id code message service version instance epoch seq field before after redacted"
).split()


class Inspection:
    """Judges events, and remembers. Safe between threads: at worst two judge the same text.

    A text, or an account or actor whole, that comes a second time is remembered as met; ids that
    come once do not drive out what repeats. Both are forgotten when they are too many, and long
    texts at once.
    """

    def __init__(
        self, is_secret_name: SecretNames, screen: Screen, redact: Callable[[str], str]
    ) -> None:
        """`redact` returns the very text that it is given where that holds no secret."""
        self.is_secret_name = is_secret_name
        self._screen = screen
        self._redact = redact
        self._known: set[str] = set()  # names
        self._once: set[object] = set()  # texts, and structures of the schema
        self._met: set[object] = {None}
        self._structures: frozenset[type] = frozenset()
        schema = {*AuditEvent.__struct_fields__, *_SCHEMA_NAMES}
        if not any(map(is_secret_name, schema)):
            self._structures = _STRUCTURES
            self._known |= schema - LABELLED
        self._labelled = frozenset(name for name in LABELLED if not is_secret_name(name))

    # One long function: in this path, a call costs as much as all that is done with a text.
    def is_clean(self, fields: dict[str, Any], view: AuditEvent | None) -> bool:  # noqa: C901, PLR0912
        """Tell whether the event has no secret; False may be a false alarm.

        A StrictEvent as the `view` of `fields` tells that their names are the schema's.
        """
        if type(view) is not StrictEvent or not self._structures:
            return self._fields_are_clean(fields)
        met = self._met
        texts: list[Any] = [view.description]
        pending: list[Any] = []  # what may hold more than texts
        parts: list[object] = []  # what most likely comes again, whole
        bound: list[BoundMembers] = []
        account, actor, context = view.account, view.actor, view.context
        if account is not None and account not in met:
            if type(given := fields["account"]) is not BoundMembers:
                parts.append(account)
                texts += _members_of(account)
            elif given.clean_for is not self:
                bound.append(given)
                texts += _members_of(account)
        if actor is not None and actor not in met:
            if type(given := fields["actor"]) is not BoundMembers:
                parts.append(actor)
                pending.append(_members_of(actor))
            elif given.clean_for is not self:
                bound.append(given)
                pending.append(_members_of(actor))
        if context is not None:
            given = fields["context"]
            is_bound = type(given) is BoundMembers
            if not is_bound or given.clean_for is not self:
                if context.client_hints is None and context.forwarded_for is None:
                    texts += _members_of(context)
                else:
                    pending.append(_members_of(context))
                if is_bound:
                    bound.append(given)
        if view.targets is not None:
            for target in view.targets:
                texts += _members_of(target)
        if view.error is not None:
            texts += _members_of(view.error)
        if (metadata := view.metadata) is not None:
            if not self._known.issuperset(metadata) and not self._learn(metadata, None):
                return False
            for member in metadata.values():
                kind = type(member)
                if kind is str:
                    texts.append(member)
                elif kind is not int or member >= MIN_CARD:
                    pending.append((member,))
        if view.changes is not None:
            pending.append(fields["changes"])
        if view.producer is not None:
            pending.append(fields["producer"])
        if pending and not self._gather(pending, texts, None):
            return False
        if not self._are_clean(texts, parts):
            return False
        for members in bound:
            members.clean_for = self
        return True

    def names_are_clean(self, fields: dict[str, Any]) -> bool:
        """Tell whether no name in a parsed event asks for the walk; no text is looked at."""
        known, actor = self._known, fields.get("actor")
        pending: list[Any] = [fields]
        for container in pending:  # which grows meanwhile
            members = container
            if type(container) is dict:
                if not known.issuperset(container) and not self._learn(
                    container, "credential" if container is actor else None
                ):
                    return False
                members = container.values()
            pending += [member for member in members if type(member) in _CONTAINERS]
        return True

    def redacted_text(self, text: str) -> str:
        """Return the text without its secrets: the very same object where it holds none."""
        if text in self._met or text in self._once:
            return text
        if not self._screen(text) and (found := self._redact(text)) is not text:
            return found
        if len(text) <= _MAX_MET_CHARACTERS:
            self._remember({text})
        return text

    def is_harmless(self, name: str) -> bool:
        """Tell whether a name is known to be no secret's, to hold none, and to have no label."""
        return name in self._known

    def hides_labelled(self, members: dict[Any, Any]) -> bool:
        """Tell whether a label says that the value beside it is a secret."""
        return not LABELLED.isdisjoint(members) and any(
            isinstance(label := members.get(name), str) and self.is_secret_name.in_path(label)
            for name in _LABELS
        )

    def _fields_are_clean(self, fields: dict[str, Any]) -> bool:
        if not self._known.issuperset(fields) and not self._learn(fields, None):
            return False
        texts: list[str] = []
        pending: list[Any] = []
        for name, value in fields.items():
            kind = type(value)
            if kind is str:
                if name not in IDENTITY:
                    texts.append(value)
            elif kind is dict or kind is list:
                pending.append(value)
            elif kind is BoundMembers:
                if value.clean_for is not self and not self._bound_is_clean(name, value):
                    return False
            elif kind is not int or value >= MIN_CARD:
                pending.append((value,))
        return self._gather(pending, texts, fields.get("actor")) and self._are_clean(texts)

    def _bound_is_clean(self, name: str, members: BoundMembers) -> bool:
        """Judge what is bound when it is first met: the other events of the request need not."""
        if not self._fields_are_clean({name: dict(members)}):
            return False
        members.clean_for = self
        return True

    # One branch a type.
    def _gather(self, pending: list[Any], texts: list[str], actor: Any) -> bool:  # noqa: C901, PLR0912
        """Add new texts in `pending` to `texts`; False where a name or a type asks for the walk."""
        known, met = self._known, self._met
        for container in pending:  # which grows meanwhile
            members = container
            if type(container) is dict:
                if not known.issuperset(container):
                    exempt = "credential" if container is actor else None
                    if not self._learn(container, exempt):
                        return False
                members = container.values()
            for member in members:
                kind = type(member)
                if kind is str:
                    if member not in met:
                        texts.append(member)
                elif member is None:
                    continue
                elif kind is dict or kind is list or kind is tuple:
                    pending.append(member)
                elif kind is int:
                    if member >= MIN_CARD:
                        texts.append(str(member))
                elif kind in self._structures:
                    pending.append(_members_of(member))
                elif kind not in _NEVER_SECRET:
                    return False
        return True

    def _learn(self, members: dict[str, Any], exempt: str | None) -> bool:
        """Tell whether no name asks for the walk, and know the names from now on."""
        known = self._known
        for name in members:
            if name in known or name in self._labelled or name == exempt:
                continue
            if self.is_secret_name(name) or not self._screen(name):
                return False
            if len(name) <= _MAX_KNOWN_CHARACTERS and len(known) < _MAX_KNOWN:
                known.add(name)
        return not self.hides_labelled(members)

    def _are_clean(self, texts: list[str], parts: list[object] = _NO_PARTS) -> bool:
        """Judge texts, the screen's false alarms too, and remember the clean ones.

        `parts` are structures of which these texts are all that there is.
        """
        met, shortest = self._met, self._screen.shortest
        new: list[str] = []
        for text in texts:
            if text in met:
                continue
            if len(text) < shortest:
                # Most are ids that come once: quicker judged than remembered.
                if ":" not in text and "=" not in text and not text.isalpha():
                    continue
            elif len(text) == UUID_CHARACTERS and shortest and is_uuid(text):
                continue
            new.append(text)
        return not (new or parts) or self._judge({*new}, parts)

    def _judge(self, new: set[str], parts: list[object]) -> bool:
        again: set[object] = {text for text in new if text in self._once}
        new -= again
        if new and not self._screen(_join(new)):
            screen, redact = self._screen, self._redact
            if any(not screen(text) and redact(text) is not text for text in new):
                return False
        short: set[object] = {text for text in new if len(text) <= _MAX_MET_CHARACTERS}
        if len(short) == len(new):
            again.update(part for part in parts if part in self._once)
            self._remember(short.union(parts))
        else:
            self._remember(short)
        if again:
            if len(self._met) > _MAX_MET:
                self._met = {None}  # begin anew: what repeats comes again
            self._met.update(again)
        return True

    def _remember(self, clean: Iterable[object]) -> None:
        """Remember what is clean as met once."""
        if len(self._once) > _MAX_MET:
            self._once = set()
        self._once.update(clean)
