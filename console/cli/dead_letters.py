"""`auditbus dead-letters list|replay`."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable
from datetime import datetime

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import SINCE, UNTIL, listing_format, parsed, pipeline_settings
from auditbus.console.cli.safe_text import printable
from auditbus.console.cli.terminal import note, print_listing, progress
from auditbus.console.dead_letters import (
    LetterFilter,
    Replay,
    ReplayPlan,
    StoredLetter,
    read_letters,
)
from auditbus.runtime.settings import Settings
from auditbus.schemas.timestamps import format_epoch_ms

__all__ = ["dead_letters"]

_COLUMNS = {
    "offset": "Offset",
    "time": "Time",
    "code": "Code",
    "stage": "Stage",
    "origin_text": "Origin",
    "size_bytes": "Bytes",
    "reason": "Reason",
}


@click.group(
    epilog="""\b
Examples:
  auditbus dead-letters list --since 1d
  auditbus dead-letters replay --code unsupported_version"""
)
def dead_letters() -> None:
    """List what could not be processed and why, or publish it again."""


def _offsets(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise ValueError("not an offset: use 12 or 10-20")
    return int(first), int(last or first)


_code = click.option("--code", multiple=True, metavar="CODE", help="Error code: malformed_json.")
_offset = click.option(
    "--offset", multiple=True, type=parsed("offsets", _offsets), metavar="N|N-M", help="Offsets."
)


@dead_letters.command(
    "list",
    epilog="""\b
Examples:
  auditbus dead-letters list --since 1d
  auditbus dead-letters list --code unsupported_version --limit 0
  auditbus dead-letters list --offset 17 --format json | jq -r .value""",
)
@_code
@click.option("--stage", multiple=True, metavar="STAGE", help="Who refused it: stream.")
@_offset
@click.option("--since", type=SINCE, metavar="TIME", help="Refused from then on: 2h, 2026-11-22.")
@click.option("--until", type=UNTIL, metavar="TIME", help="Refused before then.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Most of them, the newest; 0 for all.",
)
@click.option("--forwarder", is_flag=True, help="Those of the SIEM forwarder's destinations.")
@listing_format
@pipeline_settings
def list_(
    settings: Settings,
    code: tuple[str, ...],
    stage: tuple[str, ...],
    offset: tuple[tuple[int, int], ...],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    forwarder: bool,
    output: str,
) -> None:
    """List dead letters, oldest first. --format json adds the original value."""
    topics = settings.kafka.topics
    topic = topics.forwarder_dead_letters if forwarder else topics.dead_letters
    wanted = LetterFilter(code, stage, offset, since, until)
    found: Iterable[StoredLetter] = filter(wanted.matches, read_letters(settings.kafka, topic))
    if limit:
        found = deque(found, maxlen=limit)
    print_listing(_COLUMNS, (_row(stored, output) for stored in found), output)


@dead_letters.command(
    epilog="""\b
Examples:
  auditbus dead-letters replay --code unsupported_version
  auditbus dead-letters replay --offset 17 --offset 20-25 --yes

Original bytes, key and headers go to the topic they came from. Repeating is safe: an event's id
is the deduplication key everywhere. The same command again publishes only what is newer: how far
a replay went is remembered for each code, as the offset of the Kafka group
dead-letters.replay.CODE. --all and --offset leave that aside."""
)
@_code
@_offset
@click.option("--all", "again", is_flag=True, help="Also what was replayed before.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pipeline_settings
def replay(
    settings: Settings,
    code: tuple[str, ...],
    offset: tuple[tuple[int, int], ...],
    again: bool,
    yes: bool,
) -> None:
    """Publish dead letters again, once their cause is gone."""
    work = Replay(settings.kafka, LetterFilter(codes=code, offsets=offset), again=again)
    plan = work.plan()
    _state(plan)
    if plan.total:
        if not yes:
            click.confirm(f"Publish {plan.total:,} again?", abort=True)
        with progress() as shown:
            task = shown.add_task("replaying", total=plan.total)
            published = work.run(lambda count: shown.advance(task, count))
        click.echo(f"replayed {published}")
    if plan.foreign_origin:
        click.get_current_context().exit(ExitCode.REFUSED)


def _state(plan: ReplayPlan) -> None:
    counts = ", ".join(f"{count} {code}" for code, count in plan.by_code.most_common())
    note(f"to replay: {plan.total}" + (f" ({printable(counts)})" if counts else ""))
    if plan.replayed_before:
        note(f"left out: {plan.replayed_before} replayed before; --all replays them too")
    if plan.foreign_origin:
        note(f"refused: {plan.foreign_origin} that came from no topic of this pipeline")


def _row(stored: StoredLetter, output: str) -> dict[str, object]:
    letter, origin = stored.letter, stored.letter.origin
    value = letter.value or b""
    row: dict[str, object] = {
        "partition": stored.partition,
        "offset": stored.offset,
        "time": format_epoch_ms(stored.timestamp_ms),
        "code": letter.code,
        "stage": letter.stage,
        "reason": letter.reason,
        "size_bytes": len(value),
    }
    if output == "table":
        row["origin_text"] = f"{origin.topic}[{origin.partition}] {origin.offset}"
        return row
    row["origin"] = {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "time": format_epoch_ms(origin.timestamp_ms) if origin.timestamp_ms >= 0 else None,
    }
    row["key"] = None if letter.key is None else letter.key.decode(errors="replace")
    row.update(dict(letter.extra))
    try:
        row["value"] = None if letter.value is None else value.decode()
    except UnicodeDecodeError:
        row["value_base64"] = base64.b64encode(value).decode()
    return row
