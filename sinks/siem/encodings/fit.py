"""Make an event fit under a destination's cap, by cutting its text; never what identifies it.

The longest texts go first: those of more than 8,192 characters, then of 2,048, 512, 128 and 32, at
last all. Of texts that long, these go first:

1. what auditbus does not know, `client_hints` and `forwarded_for`;
2. `metadata` and `changes`;
3. the user agent, the description, the error's message;
4. names.

A text that was cut ends in `…[truncated]`; so does a list or an object that lost items
(it keeps 256 of them, then 64, 16, 4, 1 and none).
Ids, the action, times, the outcome, codes, addresses and what the stream added are never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from auditbus.schemas.enriched import EnrichedEvent
from auditbus.schemas.errors import RejectCode
from auditbus.sinks.siem.encodings.event import Event, Unencodable
from auditbus.sinks.siem.encodings.text import TRUNCATED, cut
from auditbus.sinks.siem.encodings.view import PARTS

__all__ = ["fit"]

_LIMITS = (8_192, 2_048, 512, 128, 32, len(TRUNCATED))  # characters of one text
_MAX_DEPTH = 8
_KNOWN = frozenset(EnrichedEvent.__struct_fields__)

Fields = dict[str, Any]


def fit(event: Event, encode: Callable[[Event], bytes], cap_bytes: int) -> bytes:
    """Return `encode(event)`, cut to `cap_bytes` where it is longer.

    Raises Unencodable: what `encode` raises, or `too_large` where no cut suffices. An event that
    fits costs nothing but a comparison; one that does not, at most 24 more encodings of it.
    """
    encoded = encode(event)
    if len(encoded) <= cap_bytes:
        return encoded
    fields = event.fields
    for limit in _LIMITS:
        for step in _STEPS:
            fields = step(fields, limit)
            encoded = encode(Event(_dumps(fields), fields, event.timestamp_ms))
            if len(encoded) <= cap_bytes:
                return encoded
    raise Unencodable(
        RejectCode.TOO_LARGE,
        f"{len(encoded):,} bytes with every text cut; the cap is {cap_bytes:,}",
    )


def _cut_unknown(fields: Fields, limit: int) -> Fields:
    shorter = {name: value for name, value in fields.items() if name in _KNOWN}
    unknown = {name: value for name, value in fields.items() if name not in _KNOWN}
    for name, known in PARTS.items():
        if isinstance(value := shorter.get(name), dict):
            shorter[name] = _cut_parts(value, value.keys() - known, limit)
    shorter = _with_cut(shorter, ("context",), ("client_hints", "forwarded_for"), limit)
    return {**shorter, **_cut_any(unknown, limit)}


def _cut_anything(fields: Fields, limit: int) -> Fields:
    shorter = dict(fields)
    if metadata := fields.get("metadata"):
        shorter["metadata"] = _cut_any(metadata, limit)
    if isinstance(changes := fields.get("changes"), list):
        kept = [
            _cut_parts(change, ("field", "before", "after"), limit)
            for change in changes[: _items(limit)]
        ]
        shorter["changes"] = _marked(kept, changes, {"field": TRUNCATED})
    return shorter


def _cut_prose(fields: Fields, limit: int) -> Fields:
    shorter = _with_cut(fields, ("context",), ("user_agent",), limit)
    shorter = _with_cut(shorter, ("error",), ("message",), limit)
    if isinstance(text := shorter.get("description"), str):
        shorter["description"] = cut(text, limit)
    return shorter


def _cut_names(fields: Fields, limit: int) -> Fields:
    shorter = _with_cut(fields, ("actor", "account"), ("name",), limit)
    if isinstance(targets := fields.get("targets"), list):
        kept = [_cut_parts(target, ("name",), limit) for target in targets[: _items(limit)]]
        shorter["targets"] = _marked(kept, targets, {"name": TRUNCATED})
    return shorter


_STEPS = (_cut_unknown, _cut_anything, _cut_prose, _cut_names)


def _with_cut(fields: Fields, names: Iterable[str], parts: Iterable[str], limit: int) -> Fields:
    shorter = dict(fields)
    for name in names:
        if name in shorter:
            shorter[name] = _cut_parts(shorter[name], parts, limit)
    return shorter


def _cut_parts(value: Any, parts: Iterable[str], limit: int) -> Any:
    if not isinstance(value, dict):
        return value
    return value | {part: _cut_any(value[part], limit) for part in parts if part in value}


def _cut_any(value: Any, limit: int, depth: int = 0) -> Any:
    """Cut every text in `value`, and lists and objects to a number of items."""
    if isinstance(value, str):
        return cut(value, limit)
    if not isinstance(value, list | dict):
        return value
    if depth == _MAX_DEPTH:
        return TRUNCATED
    if isinstance(value, list):
        kept = [_cut_any(item, limit, depth + 1) for item in value[: _items(limit)]]
        return _marked(kept, value, TRUNCATED)
    first = list(value.items())[: _items(limit)]
    shorter = {cut(key, limit): _cut_any(item, limit, depth + 1) for key, item in first}
    return shorter if len(first) == len(value) else shorter | {TRUNCATED: TRUNCATED}


def _marked(kept: list[Any], whole: list[Any], mark: Any) -> list[Any]:
    return kept if len(kept) == len(whole) else [*kept, mark]


def _items(limit: int) -> int:
    """Return how many items of a list go with a limit of characters: from 256 down to none."""
    return 0 if limit <= len(TRUNCATED) else limit // 32


def _dumps(fields: Fields) -> bytes:
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError:
        raise Unencodable(RejectCode.TOO_DEEP, "nested deeper than 254 levels") from None
