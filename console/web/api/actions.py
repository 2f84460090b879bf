"""`/api/v1/actions`: the catalogue of actions, the operator's own included."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from auditbus.console.web.api.answers import READING
from auditbus.console.web.asking import PrincipalOf
from auditbus.console.web.services import ServicesOf
from auditbus.schemas.catalogue import Catalogue, Severity

__all__ = ["router"]

router = APIRouter(prefix="/actions", tags=["events"], responses=READING)


class ActionAnswer(BaseModel):
    """One action."""

    name: str
    category: str
    operation: str
    description: str
    severity: Severity
    signal: bool
    """Do alert rules watch it?"""


class ActionsAnswer(BaseModel):
    """The catalogue. An action that is not in it may still occur."""

    actions: list[ActionAnswer]


def _catalogue(services: ServicesOf) -> Catalogue:
    return Catalogue.load(services.settings.catalogue)


@router.get("")
def actions(_: PrincipalOf, catalogue: Catalogue = Depends(_catalogue)) -> ActionsAnswer:  # noqa: B008
    """Return the actions that are known, by name."""
    return ActionsAnswer(
        actions=[
            ActionAnswer(
                name=action.name,
                category=action.category,
                operation=action.operation,
                description=action.description,
                severity=action.severity,
                signal=action.signal,
            )
            for action in catalogue.values()
        ]
    )
