"""`/api/v1/stats`: how many events over time, and how often each value of a column occurs.

A facet is counted without its own filter, so that its other values can be chosen too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from auditbus.console.query.selection import BoundedReader
from auditbus.console.query.statistics import FacetValue, every_bucket, sensible_step
from auditbus.console.query.survey import oldest, survey
from auditbus.console.web.api.answers import READING, completeness_members, moment_text
from auditbus.console.web.asking import Asked, Asking
from auditbus.console.web.completing import CompletenessOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["router"]

router = APIRouter(prefix="/stats", tags=["events"], responses=READING)
_MOST_BUCKETS = 1000


class Facet(StrEnum):
    """What can be counted by, and the field of the filter of the same name."""

    ACTION = "action"
    CATEGORY = "category"
    ACCOUNT = "account"
    USER = "user"
    COUNTRY = "country"
    DEVICE = "device"
    OUTCOME = "outcome"


_FILTERS = {
    Facet.ACTION: "actions",
    Facet.CATEGORY: "categories",
    Facet.ACCOUNT: "accounts",
    Facet.USER: "users",
    Facet.COUNTRY: "countries",
    Facet.DEVICE: "devices",
    Facet.OUTCOME: "outcomes",
}


class BucketAnswer(BaseModel):
    """Events from `start` until the next bucket's."""

    start: str
    count: int
    failures: int


class FacetAnswer(BaseModel):
    """How often a value occurs; `label` is for people, `value` for the filter."""

    value: str
    label: str
    count: int


class StatsAnswer(BaseModel):
    """Numbers about the events that were asked for."""

    count: int
    failures: int
    since: str | None
    """Where the histogram begins; null where there is no event."""
    until: str | None
    step_s: int
    """Width of a bucket in seconds."""
    histogram: list[BucketAnswer]
    """Oldest first, also those that are empty."""
    facets: dict[Facet, list[FacetAnswer]]
    """The most frequent values first."""
    complete_up_to: str | None
    incomplete_reason: str | None


@router.get("")
def stats(
    asked: Asking,
    services: ServicesOf,
    completeness: CompletenessOf,
    facet: Annotated[
        list[Facet], Query(description="Which facets; all where it is missing.", max_length=7)
    ] = [],  # noqa: B006  # FastAPI copies it
    facet_limit: Annotated[int, Query(ge=1, le=100, description="Most values of each.")] = 10,
    step_s: Annotated[
        int | None,
        Query(ge=1, le=31 * 86_400, description="Seconds of a bucket; sensible where missing."),
    ] = None,
) -> StatsAnswer:
    """Return the histogram over time and the facets of the events that were asked for."""
    known = completeness.now()
    reader = services.reader
    now = datetime.now(UTC)
    until = asked.filter.until or now + timedelta(milliseconds=1)
    since = asked.filter.since or oldest(reader, asked.predicate)
    span = max(until - since, timedelta(seconds=1)) if since else timedelta(hours=1)
    step = timedelta(seconds=step_s) if step_s else sensible_step(span)
    if span / step > _MOST_BUCKETS:
        raise Problem(400, f"step_s: more than {_MOST_BUCKETS} buckets", field="step_s")
    names = list(dict.fromkeys(facet)) or list(Facet)
    free = [name for name in names if not getattr(asked.filter, _FILTERS[name])]
    found = survey(reader, asked.predicate, step, free, facet_limit)
    facets = {name: found.facets[name] for name in free}
    facets |= _besides(reader, asked, [name for name in names if name not in free], facet_limit)
    buckets = every_bucket(found.buckets, since, until, step) if since else []
    return StatsAnswer(
        count=sum(bucket.count for bucket in found.buckets),
        failures=sum(bucket.failures for bucket in found.buckets),
        since=moment_text(since),
        until=moment_text(until) if since else None,
        step_s=step // timedelta(seconds=1),
        histogram=[
            BucketAnswer(
                start=moment_text(bucket.start) or "", count=bucket.count, failures=bucket.failures
            )
            for bucket in buckets
        ],
        facets={
            name: [
                FacetAnswer(value=value.value, label=value.label, count=value.count)
                for value in facets[name]
            ]
            for name in names
        },
        complete_up_to=completeness_members(known)["complete_up_to"],
        incomplete_reason=known.reason,
    )


def _besides(
    reader: BoundedReader, asked: Asked, names: list[Facet], limit: int
) -> dict[Facet, Sequence[FacetValue]]:
    return {
        name: survey(reader, asked.besides(_FILTERS[name]), None, [name], limit).facets[name]
        for name in names
    }
