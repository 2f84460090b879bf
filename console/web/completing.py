"""Up to when the log is complete, for every handler: one watch a process."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from auditbus.console.query.completeness import CompletenessWatch

__all__ = ["CompletenessOf"]


def _completeness_of(request: Request) -> CompletenessWatch:
    watch: CompletenessWatch = request.app.state.completeness
    return watch


CompletenessOf = Annotated[CompletenessWatch, Depends(_completeness_of)]
"""Annotate a handler's parameter with it."""
