"""What a destination must not see: `[forwarder.destinations.NAME.redact]`.

E-mail and IP addresses are found everywhere in an event: as whole fields, inside longer texts, in
`metadata`, `changes` and any other field, in nested lists and in keys. Named fields go by path. The
event is encoded anew from what is left, so its original bytes never reach the destination. The dead
letter of an event keeps the original: that topic is the operator's own.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from auditbus.schemas.errors import RejectCode
from auditbus.sinks.siem.encodings.event import Event, Unencodable
from auditbus.sinks.siem.personal_data import normalise_email, normalise_ip, replace_addresses

__all__ = ["Redact", "RedactionSettings", "compile_redaction"]

Redact = Callable[[Event], Event]
"""Returns another event with what is left. Raises Unencodable where it cannot vouch for it."""

Action = Literal["drop", "mask", "hash"]
_MIN_KEY_CHARACTERS = 16
_HASH_CHARACTERS = 32
_REMOVED = "[removed]"
# By these an event is known, ordered and deduplicated, and a destination's cut is found again;
# without its outcome a failure would pass for a success.
_NEEDED = frozenset(
    {"id", "schema_version", "action", "occurred_at", "received_at", "outcome", "actor.type"}
    | {"origin.topic", "origin.partition", "origin.offset"}
)
# Left out, they would make an event that is none, or a failure a success.
_NOT_DROPPED = frozenset({"account.id", "changes.field", "error"})
# No text could stand there: an object, a list of objects, a number, a word of the catalogue.
_ONLY_DROPPED = frozenset(
    {"account", "actor", "actor.credential", "actor.on_behalf_of", "targets", "error", "context"}
    | {"changes", "changes.redacted", "producer", "producer.epoch", "producer.seq", "origin"}
    | {"category", "operation", "device", "device.is_bot"}
    | {"location", "location.latitude", "location.longitude", "location.asn"}
)
# Whole values under these keys, in small letters without `_` and `-`, are addresses by their name.
_EMAIL_KEYS = frozenset({"email", "mail", "emailaddress", "useremail", "mailaddress"})
_IP_KEYS = frozenset(
    {"ip", "ipaddress", "clientip", "remoteip", "sourceip", "remoteaddr", "forwardedfor"}
    | {"xforwardedfor", "ipv4", "ipv6"}
)
# An encoding wants to find an object or a list there: each value in it is written over.
_SHAPED = frozenset({"metadata", "context.client_hints", "context.forwarded_for"})
_CACHED_CHARACTERS = 512


class RedactionSettings(BaseModel):
    """What is taken out of events before they are encoded.

    `drop` leaves it out, `mask` writes `[email]`, `[ip]` or `[redacted]`, and `hash` writes a keyed
    hash, the same for the same address, by which events can still be joined.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    emails: Action | None = None
    """E-mail addresses, wherever they stand: drop, mask or hash."""
    ip_addresses: Action | None = None
    """IP addresses, wherever they stand: drop, mask or hash."""
    fields: Mapping[str, Action] = Field(default_factory=dict)
    """Whole fields by dotted path, such as `{ "actor.name" = "drop", "metadata.ssn" = "hash" }`.

    A path goes through lists: `targets.name` is that of every target. Where it is `metadata`,
    `context.client_hints` or `context.forwarded_for`, each value in it is masked or hashed.
    """
    key: SecretStr | None = None
    """Key of the hashes (HMAC-SHA256), at least 16 characters."""

    @field_validator("fields", mode="after")
    @classmethod
    def _check_paths(cls, fields: Mapping[str, Action]) -> Mapping[str, Action]:
        for path, action in fields.items():
            if not all(path.split(".")):
                raise PydanticCustomError("path", "must be dotted names, such as actor.name")
            if path in _NEEDED:
                raise PydanticCustomError("path", f"{path} is needed to tell what happened")
            if action == "drop" and path in _NOT_DROPPED:
                raise PydanticCustomError("path", f"{path} cannot be dropped: an event needs it")
            if action != "drop" and path in _ONLY_DROPPED:
                raise PydanticCustomError("path", f"{path} holds no text: it can only be dropped")
        return MappingProxyType(dict(fields))

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        actions = {self.emails, self.ip_addresses, *self.fields.values()} - {None}
        if not actions:
            raise PydanticCustomError("redact", "is empty: leave the table out, or give it a key")
        if "hash" in actions and self.key is None:
            raise PydanticCustomError("redact", "key: hash needs key_env or key_file")
        if self.key is not None and len(self.key.get_secret_value()) < _MIN_KEY_CHARACTERS:
            raise PydanticCustomError(
                "redact", f"key: must have at least {_MIN_KEY_CHARACTERS} characters"
            )
        return self


def compile_redaction(settings: RedactionSettings) -> Redact:
    """Return the function that redacts an event, as `settings` say. Safe in several threads."""
    redactor = _Redactor(settings)

    def redact(event: Event) -> Event:
        try:
            fields = redactor.whole(event.fields)
            return Event(orjson.dumps(fields), fields, event.timestamp_ms)
        except (RecursionError, orjson.JSONEncodeError):
            raise Unencodable(
                RejectCode.TOO_DEEP, "nested too deep to be redacted, so it is not sent"
            ) from None

    return redact


class _Dropped:
    """In place of a value that is left out."""


_DROPPED = _Dropped()
_Write = Callable[[str], str | _Dropped]


@dataclass(frozen=True, slots=True)
class _Each:
    """Says that each value below a path is written over, not the whole."""

    write: _Write


class _Redactor:
    def __init__(self, settings: RedactionSettings) -> None:
        secret = settings.key.get_secret_value().encode() if settings.key else b""
        self._email = _writer(settings.emails, "email", secret, normalise_email)
        self._ip = _writer(settings.ip_addresses, "ip", secret, normalise_ip)
        self._paths: dict[str, Any] = {}
        for path, action in settings.fields.items():
            write = _writer(action, "redacted", secret, str)
            if write is not None and action != "drop" and path in _SHAPED:
                _plant(self._paths, path.split("."), _Each(write))
            else:
                _plant(self._paths, path.split("."), write)
        self._within_email, self._within_ip = _within(self._email), _within(self._ip)
        # User agents, names and keys come again and again.
        self._scan_cached = lru_cache(maxsize=2048)(self._scan)
        self._key = lru_cache(maxsize=2048)(self._read_key)

    def whole(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is left of an event."""
        return self._object(fields, self._paths)

    def _object(self, fields: Mapping[str, Any], paths: Mapping[str, Any]) -> dict[str, Any]:
        left: dict[str, Any] = {}
        named = _named_by_change(fields)
        for key, value in fields.items():
            is_short = len(key) < _CACHED_CHARACTERS
            clean_key, write = self._key(key) if is_short else self._read_key(key)
            if isinstance(clean_key, _Dropped):
                continue
            if named is not None and key in _CHANGED:
                write = self._read_key(named)[1]
            below = paths.get(key, _NO_PATHS)
            if isinstance(below, _Each):
                clean = self._each(value, below.write)
            elif callable(below):
                clean = _over(value, below)
            elif write is not None:
                clean = self._address(value, write, below)
            else:
                clean = self._value(value, below)
            if clean is not _DROPPED:
                left[clean_key if clean_key not in left else _unused(clean_key, left)] = clean
        return left

    def _address(self, value: Any, write: _Write, paths: Mapping[str, Any]) -> Any:
        """Redact what is an address by its name, also where it does not look like one."""
        if isinstance(value, dict):
            return self._object(value, paths)
        if isinstance(value, list):
            cleaned = (self._address(item, write, paths) for item in value)
            return [item for item in cleaned if item is not _DROPPED]
        if isinstance(value, str) and (clean := self._text(value)) != value:
            return clean
        return _over(value, write)

    def _each(self, value: Any, write: _Write) -> Any:
        """Write over each value in an object or a list, which stays one."""
        if isinstance(value, list):
            return [self._each(item, write) for item in value]
        if not isinstance(value, dict):
            return _over(value, write)
        left: dict[str, Any] = {}
        for key, item in value.items():
            clean_key = self._key(key)[0] if len(key) < _CACHED_CHARACTERS else self._scan(key)
            if not isinstance(clean_key, _Dropped):
                left[_unused(clean_key, left)] = self._each(item, write)
        return left

    def _value(self, value: Any, paths: Mapping[str, Any]) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._object(value, paths)
        if isinstance(value, list):
            cleaned = (self._value(item, paths) for item in value)
            return [item for item in cleaned if item is not _DROPPED]
        return value

    def _text(self, text: str) -> str | _Dropped:
        return self._scan_cached(text) if len(text) < _CACHED_CHARACTERS else self._scan(text)

    def _scan(self, text: str) -> str | _Dropped:
        clean = replace_addresses(text, self._within_email, self._within_ip)
        # What was nothing but an address that is dropped is dropped whole.
        return _DROPPED if clean == _REMOVED and text != clean else clean

    def _read_key(self, key: str) -> tuple[str | _Dropped, _Write | None]:
        """Return what is left of a key, and what is to be done with an address by that name."""
        name = key.replace("_", "").replace("-", "").lower()
        if name in _EMAIL_KEYS:
            return key, self._email
        return self._scan(key), self._ip if name in _IP_KEYS else None


_CHANGED = frozenset({"before", "after"})
_NO_PATHS: Mapping[str, Any] = MappingProxyType({})


def _named_by_change(fields: Mapping[str, Any]) -> str | None:
    """Return the field that an entry of `changes` speaks of: `{field: "email", before, after}`."""
    field = fields.get("field")
    return field.rpartition(".")[2] if isinstance(field, str) else None


def _writer(
    action: Action | None, kind: str, secret: bytes, normalise: Callable[[str], str]
) -> _Write | None:
    match action:
        case None:
            return None
        case "drop":
            return lambda _: _DROPPED
        case "mask":
            return lambda _: f"[{kind}]"

    def write(found: str) -> str:
        digest = hmac.digest(secret, normalise(found).encode(errors="replace"), "sha256")
        return f"{kind}_{digest.hex()[:_HASH_CHARACTERS]}"

    return write


def _within(write: _Write | None) -> Callable[[str], str] | None:
    """Return how an address is replaced inside a text."""
    if write is None:
        return None

    def replace(found: str) -> str:
        written = write(found)
        return _REMOVED if isinstance(written, _Dropped) else written

    return replace


def _over(value: Any, write: _Write) -> Any:
    """Write over a whole value, whatever it is; null and empty text say nothing and stay."""
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return write(text) if text else text


def _plant(tree: dict[str, Any], path: list[str], write: _Write | _Each | None) -> None:
    *parents, last = path
    for name in parents:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):
            return  # the whole of it goes already
        tree = below
    tree[last] = write


def _unused(key: str, taken: Mapping[str, Any]) -> str:
    """Return `key`, with a number where two keys became the same."""
    if key not in taken:
        return key
    number = 2
    while f"{key}#{number}" in taken:
        number += 1
    return f"{key}#{number}"
