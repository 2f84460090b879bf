"""The body of a form, read whole, and never more than a form may hold."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from auditbus.console.web.problems import Problem

__all__ = ["Form"]

_MAX_BYTES = 16 * 1024
_TYPE = "application/x-www-form-urlencoded"


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise Problem(415, f"The body must be {_TYPE}.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise Problem(413, "The form is too large.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Problem(400, "The body is no form.") from None
    if len(fields := dict(pairs)) != len(pairs):
        raise Problem(400, "A field of the form is given twice.")
    return fields


Form = Annotated[dict[str, str], Depends(_form)]
"""Annotate a handler's parameter with it: the fields by name, each given once."""
