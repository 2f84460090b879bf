"""Options that many commands share: where the pipeline is, the filters, the output format."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from auditbus.console.cli.local_pipeline import find_settings
from auditbus.console.query.addresses import parse_addresses
from auditbus.console.query.moments import parse_since, parse_until
from auditbus.console.query.predicate import EventFilter, event_predicate
from auditbus.console.query.words import parse_words
from auditbus.runtime.kafka import LIBRDKAFKA_LOGGER
from auditbus.runtime.logging import configure_logging
from auditbus.runtime.settings import LogSettings

__all__ = [
    "SINCE",
    "UNTIL",
    "event_filters",
    "event_filters_without_time",
    "filter_options",
    "listing_format",
    "parsed",
    "pipeline_settings",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OUTCOMES = ("success", "failure", "unknown")


class _Parsed(click.ParamType):
    """A value that a function of text makes; its ValueError is wrong usage."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


def parsed(name: str, parse: Callable[[str], Any]) -> click.ParamType:
    """Return the type of an option whose value `parse` makes of its text."""
    return _Parsed(name, parse)


SINCE = parsed("moment", lambda text: parse_since(text, datetime.now(UTC)))
UNTIL = parsed("moment", lambda text: parse_until(text, datetime.now(UTC)))


def _words(text: str) -> str:
    parse_words(text)
    return text


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("not a UUID") from None


_FILTERS = (
    ("account", str, True, "ID", "Account id."),
    ("user", str, True, "USER", "Actor's id, name or e-mail address."),
    ("action", str, True, "ACTION", "Action, such as StorageDeleted."),
    ("category", str, True, "CATEGORY", "Category, such as storage."),
    ("outcome", click.Choice(_OUTCOMES), True, "OUTCOME", "success, failure or unknown."),
    (
        "ip",
        parsed("address", parse_addresses),
        True,
        "ADDRESS",
        "Address or CIDR network, IPv4 or IPv6.",
    ),
    ("country", str, True, "COUNTRY", "Country's code or name: DE, Germany."),
    ("device", str, True, "TEXT", "Part of the device's label: chrome, windows."),
    (
        "since",
        SINCE,
        False,
        "TIME",
        "From then on: 2h, 7d, 2026-11-22, 2026-11-22T10:00:00Z.",
    ),
    (
        "until",
        UNTIL,
        False,
        "TIME",
        "Before then; a date counts as a whole.",
    ),
    (
        "text",
        parsed("words", _words),
        False,
        "WORDS",
        'Words, "a phrase", begin*, an address or an id: all of them, in any field.',
    ),
    ("id", parsed("uuid", _uuid), True, "UUID", "Event id."),
)


def pipeline_settings(command: _Command) -> _Command:
    """Add --data and --config, and pass the `settings` that they lead to."""

    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Directory of a running local pipeline.  [default: .auditbus]",
    )
    @click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Settings file.  [default: AUDITBUS_CONFIG, else ./auditbus.toml]",
    )
    @wraps(command)
    def with_settings(*args: Any, data: Path | None, config: Path | None, **kwargs: Any) -> Any:
        settings = find_settings(data, config)
        _configure_logging(settings.log)
        return command(*args, settings=settings, **kwargs)

    return with_settings  # type: ignore[return-value]  # click's options are functions of any kind


def _configure_logging(log: LogSettings) -> None:
    """Be quiet unless asked: clients log every try, people want the one error in the end."""
    if "level" in log.model_fields_set:
        configure_logging("cli", log)
    else:
        configure_logging("cli", log.model_copy(update={"level": "error"}))
        logging.getLogger(LIBRDKAFKA_LOGGER).setLevel(logging.CRITICAL)


def event_filters(command: _Command) -> _Command:
    """Add the filters, and pass the `wanted` predicate that they describe."""
    return _with_filters(command, ())


def event_filters_without_time(command: _Command) -> _Command:
    """Add the filters but --since and --until, which mean another time to the command."""
    return _with_filters(command, ("since", "until"))


def _with_filters(command: _Command, without: tuple[str, ...]) -> _Command:
    @wraps(command)
    def with_predicate(*args: Any, wanted: EventFilter, **kwargs: Any) -> Any:
        return command(*args, wanted=event_predicate(wanted), **kwargs)

    return filter_options(with_predicate, without)  # type: ignore[return-value]  # as above


def filter_options(command: _Command, without: tuple[str, ...] = ()) -> _Command:
    """Add the filters but those of `without`, and pass them as `wanted`, an EventFilter."""
    filters = [item for item in _FILTERS if item[0] not in without]

    @wraps(command)
    def with_filter(*args: Any, **kwargs: Any) -> Any:
        found = {name: kwargs.pop(name) for name, *_ in filters}
        return command(*args, wanted=_event_filter(found), **kwargs)

    for name, kind, multiple, metavar, text in reversed(filters):
        option = click.option(f"--{name}", type=kind, multiple=multiple, metavar=metavar, help=text)
        with_filter = option(with_filter)
    return with_filter  # type: ignore[return-value]  # as above


def listing_format(command: _Command) -> _Command:
    """Add --format table|json, passed as `output`."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(("table", "json")),
        default="table",
        show_default=True,
        help="A table for people, or one JSON object a line.",
    )(command)


def _event_filter(found: dict[str, Any]) -> EventFilter:
    return EventFilter(
        accounts=found["account"],
        users=found["user"],
        actions=found["action"],
        categories=found["category"],
        outcomes=found["outcome"],
        addresses=found["ip"],
        countries=found["country"],
        devices=found["device"],
        since=found.get("since"),
        until=found.get("until"),
        text=found["text"],
        ids=found["id"],
    )
