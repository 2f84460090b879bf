"""What the bodies of tokens, grants, organizations and viewer keys have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from auditbus.console.access.names import Ids, Text
from auditbus.console.web.problems import PROBLEM_JSON

__all__ = ["NOT_FOUND", "REFUSALS", "Body", "Ids", "Text", "problem_answers"]


class Body(BaseModel):
    """A body; what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ProblemAnswer(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


def _answer(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemAnswer"}
    return {
        "description": description,
        "model": ProblemAnswer,
        "content": {PROBLEM_JSON: {"schema": schema}},
    }


def problem_answers(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return, for OpenAPI, the problems that a handler may answer with."""
    return {status: _answer(text) for status, text in descriptions.items()}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: _answer("The request is no valid JSON"),
    401: _answer("Not signed in"),
    403: _answer("Only administrators may do this"),
    413: _answer("The body is larger than 1 MiB"),
    422: _answer("A field is wrong; `field` names it"),
    429: _answer("Too many failed sign-ins"),
    503: _answer("The store does not answer"),
}
"""How every one of these resources may answer instead."""

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: _answer("There is none")}
