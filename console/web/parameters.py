"""A parameter that is not known, is empty or is repeated is refused: it must never widen a view.

What is known is read from the OpenAPI document, so the two cannot differ.
"""

from __future__ import annotations

import difflib
from typing import Any

from fastapi import FastAPI, Request

from auditbus.console.web.problems import Problem

__all__ = ["only_known_parameters"]

# At the default of 0.6, `nope` and `copy` are near `scope`, and `cursor` is near `user`.
_CLOSE = 0.75


def only_known_parameters(request: Request) -> None:
    """Raise Problem (400) naming the first parameter that is none of the operation's."""
    if not request.query_params:
        return
    known = _parameters(request)
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Problem(400, f"{name}: no such parameter{hint}", field=name)
        values = request.query_params.getlist(name)
        if len(values) > 1 and not known[name]:
            raise Problem(400, f"{name}: given more than once", field=name)
        if not all(values):
            raise Problem(400, f"{name}: is empty; leave it out", field=name)


def _parameters(request: Request) -> dict[str, bool]:
    """Return the names of the operation's query parameters, and which may be repeated."""
    app: FastAPI = request.app
    asked = request.scope["path"].split("/")
    for template, operations in app.openapi()["paths"].items():
        operation: dict[str, Any] = operations.get(request.method.lower(), {})
        if operation and _fits(template.split("/"), asked):
            return {
                item["name"]: item["schema"].get("type") == "array"
                for item in operation.get("parameters", ())
                if item["in"] == "query"
            }
    return {}


def _fits(template: list[str], asked: list[str]) -> bool:
    return len(template) == len(asked) and all(
        known == part or known.startswith("{") for known, part in zip(template, asked, strict=True)
    )
