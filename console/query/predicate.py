"""What to look for, and the one place where it becomes SQL.

A value is only ever a bound parameter (`{name:Type}`): the SQL text is made of constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from uuid import UUID

from auditbus.console.query.addresses import AddressRange
from auditbus.console.query.words import Words, parse_words

__all__ = ["EventFilter", "Predicate", "event_predicate", "moment_parameter"]

# What DateTime64(3) holds. Beyond it ClickHouse would wrap around.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2299, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to look for. Several values of one field mean any of them; several fields, all.

    `users` match an actor's id, name or email; `countries` a code or a name; `devices` a part of
    the device's label or type; `errors` an error's code, or a part of its message; `targets` an id,
    a name or a type that stands whole in a target; `text` is what people type, see `words`.
    `since` is included, `until` is not; both speak of `occurred_at`.
    """

    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    addresses: tuple[AddressRange, ...] = ()
    countries: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition in SQL and the values of its parameters; empty SQL holds for every row."""

    sql: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)

    def __and__(self, other: Predicate) -> Predicate:
        """Return the condition that both hold; their parameters' names must differ."""
        if clash := self.parameters.keys() & other.parameters.keys():
            raise ValueError(f"parameters of both: {', '.join(sorted(clash))}")
        sql = " AND ".join(f"({part})" for part in (self.sql, other.sql) if part)
        return Predicate(sql, {**self.parameters, **other.parameters})


# Columns that are compared as they are, by the field of EventFilter.
_EXACT = {
    "accounts": "account",
    "actions": "action",
    "categories": "category",
    "outcomes": "toString(outcome)",
}


def event_predicate(wanted: EventFilter, *, of_row: bool = False) -> Predicate:
    """Return the condition on a row of `audit.log` that `wanted` describes.

    With `of_row` it is the same condition without asking the text index, for a few rows that are
    judged outside a WHERE. Raises ValueError where the text asks for nothing.
    """
    parts = (
        *_of_values(wanted),
        *_of_people(wanted),
        *_of_errors(wanted),
        *_of_targets(wanted, of_row=of_row),
        *_of_text(wanted, of_row=of_row),
        *_of_time(wanted),
    )
    return reduce(and_, parts, Predicate())


def moment_parameter(moment: datetime) -> str:
    """Return an aware moment as the value of a `DateTime64(3, 'UTC')` parameter."""
    clamped = min(max(moment, _EARLIEST), _LATEST).astimezone(UTC)
    return clamped.strftime("%Y-%m-%d %H:%M:%S.") + f"{clamped.microsecond // 1000:03d}"


def _of_values(wanted: EventFilter) -> Iterator[Predicate]:
    for name, column in _EXACT.items():
        if values := getattr(wanted, name):
            yield Predicate(f"{column} IN {{{name}:Array(String)}}", {name: list(values)})
    if wanted.ids:
        yield Predicate("id IN {ids:Array(UUID)}", {"ids": [str(id_) for id_ in wanted.ids]})
    if wanted.addresses:
        yield Predicate(
            "arrayExists((first, last) -> ip BETWEEN toIPv6(first) AND toIPv6(last), "
            "{first_ips:Array(String)}, {last_ips:Array(String)})",
            {
                "first_ips": [addresses.first for addresses in wanted.addresses],
                "last_ips": [addresses.last for addresses in wanted.addresses],
            },
        )


def _of_people(wanted: EventFilter) -> Iterator[Predicate]:
    if wanted.users:
        yield Predicate(
            "actor_id IN {users:Array(String)}"
            " OR lowerUTF8(actor_name) IN {lower_users:Array(String)}"
            " OR lowerUTF8(actor_email) IN {lower_users:Array(String)}",
            {
                "users": list(wanted.users),
                "lower_users": [user.lower() for user in wanted.users],
            },
        )
    if wanted.countries:
        yield Predicate(
            "country_code IN {country_codes:Array(String)}"
            " OR lowerUTF8(country) IN {countries:Array(String)}",
            {
                "country_codes": [country.upper() for country in wanted.countries],
                "countries": [country.lower() for country in wanted.countries],
            },
        )
    if wanted.devices:
        yield Predicate(
            "arrayExists(part -> positionCaseInsensitiveUTF8(device, part) > 0"
            " OR positionCaseInsensitiveUTF8(device_type, part) > 0, {devices:Array(String)})",
            {"devices": list(wanted.devices)},
        )


def _of_errors(wanted: EventFilter) -> Iterator[Predicate]:
    if wanted.errors:
        yield Predicate(
            "error_code IN {errors:Array(String)}"
            " OR arrayExists(part -> positionCaseInsensitiveUTF8(error_message, part) > 0,"
            " {errors:Array(String)})",
            {"errors": list(wanted.errors)},
        )


def _of_targets(wanted: EventFilter, *, of_row: bool) -> Iterator[Predicate]:
    # `targets` reads "type name id, type name id". The index names the candidates.
    parts, parameters = [], {}
    for number, target in enumerate(wanted.targets):
        name = f"target_{number}"
        parameters[name] = target
        part = (
            f"position(concat(' ', replaceAll(targets, ', ', ' '), ' '),"
            f" concat(' ', {{{name}:String}}, ' ')) > 0"
        )
        if not of_row:
            part = f"hasAllTokens(search_text, {{{name}:String}}) AND {part}"
        parts.append(part)
    if parts:
        yield Predicate(" OR ".join(f"({part})" for part in parts), parameters)


def _of_text(wanted: EventFilter, *, of_row: bool) -> Iterator[Predicate]:
    if wanted.text is None:
        return
    words = parse_words(wanted.text)
    if words.tokens and not of_row:
        # The index's own preprocessor folds case, of the words asked for too.
        yield Predicate(
            "hasAllTokens(search_text, {words:String})", {"words": " ".join(words.tokens)}
        )
    patterns = (*words.patterns, *(words.plain if of_row else ()))
    for number, pattern in enumerate(patterns):
        name = f"pattern_{number}"
        yield Predicate(_matches(name), {name: pattern})
    yield from _of_places(words)


def _of_places(words: Words) -> Iterator[Predicate]:
    for number, (addresses, pattern) in enumerate(words.addresses):
        address, text = f"address_{number}", f"address_text_{number}"
        yield Predicate(
            f"ip = toIPv6({{{address}:String}}) OR {_matches(text)}",
            {address: addresses.first, text: pattern},
        )
    for number, network in enumerate(words.networks):
        first, last = f"network_first_{number}", f"network_last_{number}"
        yield Predicate(
            f"ip BETWEEN toIPv6({{{first}:String}}) AND toIPv6({{{last}:String}})",
            {first: network.first, last: network.last},
        )
    for number, (id_, pattern) in enumerate(words.ids):
        name, text = f"named_id_{number}", f"named_text_{number}"
        yield Predicate(
            f"id = {{{name}:UUID}} OR {_matches(text)}", {name: str(id_), text: pattern}
        )


def _matches(parameter: str) -> str:
    return f"match(lowerUTF8(search_text), {{{parameter}:String}})"


def _of_time(wanted: EventFilter) -> Iterator[Predicate]:
    if wanted.since is not None:
        since = moment_parameter(wanted.since)
        yield Predicate("time >= {since:DateTime64(3, 'UTC')}", {"since": since})
    if wanted.until is not None:
        until = moment_parameter(wanted.until)
        yield Predicate("time < {until:DateTime64(3, 'UTC')}", {"until": until})
