"""What kind of thing happened, in the words of OCSF and ECS: tables, and one look-up.

An action is classified by its category and operation: those of the event, which the stream took
from the operator's catalogue, else (raw topic) those of the catalogue, else `other`. So an
operator's own action maps like the built-in ones of its category; what is listed nowhere is an OCSF
API Activity. The severity is the catalogue's, low for an action that is not in it.

Sources: OCSF 1.8.0 (schema.ocsf.io/1.8.0), ECS 9.4 (event.category, event.type).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from auditbus.schemas.catalogue import Catalogue, Severity
from auditbus.schemas.errors import RejectCode
from auditbus.schemas.event import ACTION_PATTERN
from auditbus.sinks.siem.encodings.event import Unencodable

__all__ = ["OCSF_CLASSES", "Kind", "look_up"]

OCSF_CLASSES: Mapping[int, str] = {
    3001: "Account Change",
    3002: "Authentication",
    3004: "Entity Management",
    3006: "Group Management",
    6001: "Web Resources Activity",
    6003: "API Activity",
    6006: "File Hosting Activity",
}

# category: OCSF class, ECS category, and what ECS adds to the type for this category
_CATEGORIES: Mapping[str, tuple[int, str, tuple[str, ...]]] = {
    "authentication": (3002, "authentication", ()),
    "user": (3001, "iam", ("user",)),
    "group": (3006, "iam", ("group",)),
    "account": (3004, "configuration", ()),
    "installation": (3004, "configuration", ()),
    "purchase": (3004, "configuration", ()),
    "repository": (3004, "configuration", ()),
    "retention_policy": (3004, "configuration", ()),
    "schedule": (3004, "configuration", ()),
    "storage": (3004, "configuration", ()),
    "audit": (6003, "api", ()),
    "backup": (6003, "api", ()),
    "notification": (6003, "api", ()),
    "restore": (6003, "api", ()),
}
_OTHER_CATEGORY = (6003, "api", ())

# A class of its own for one operation of a category: OCSF class, ECS category.
_EXCEPTIONS: Mapping[tuple[str, str], tuple[int, str]] = {
    ("audit", "export"): (6001, "api"),
    ("backup", "download"): (6006, "file"),
}

# class: operation: activity. What is not listed is 99, Other, under the operation's own name.
_ACTIVITIES: Mapping[int, Mapping[str, tuple[int, str]]] = {
    3001: {
        "create": (1, "Create"),
        "enable": (2, "Enable"),
        "resume": (2, "Enable"),
        "disable": (5, "Disable"),
        "suspend": (5, "Disable"),
        "delete": (6, "Delete"),
        "lock": (9, "Lock"),
        "unlock": (12, "Unlock"),
    },
    3002: {"login": (1, "Logon"), "logout": (2, "Logoff")},
    3004: {
        "create": (1, "Create"),
        "read": (2, "Read"),
        "update": (3, "Update"),
        "rename": (3, "Update"),
        "grant": (3, "Update"),
        "publish": (3, "Update"),
        "unpublish": (3, "Update"),
        "archive": (3, "Update"),
        "unarchive": (3, "Update"),
        "delete": (4, "Delete"),
        "move": (5, "Move"),
        "enable": (8, "Enable"),
        "disable": (9, "Disable"),
        "activate": (10, "Activate"),
        "deactivate": (11, "Deactivate"),
        "cancel": (11, "Deactivate"),
        "suspend": (12, "Suspend"),
        "resume": (13, "Resume"),
    },
    3006: {
        "grant": (1, "Assign Privileges"),
        "revoke": (2, "Revoke Privileges"),
        "add": (3, "Add User"),
        "remove": (4, "Remove User"),
        "delete": (5, "Delete"),
        "create": (6, "Create"),
    },
    6001: {"export": (7, "Export")},
    6003: {
        "create": (1, "Create"),
        "read": (2, "Read"),
        "update": (3, "Update"),
        "rename": (3, "Update"),
        "delete": (4, "Delete"),
    },
    6006: {"download": (2, "Download")},
}

# operation: ECS type. What is not listed is `info`.
_ECS_TYPES: Mapping[str, str] = {
    "activate": "change",
    "add": "change",
    "archive": "change",
    "cancel": "change",
    "complete": "end",
    "create": "creation",
    "deactivate": "change",
    "delete": "deletion",
    "disable": "change",
    "download": "access",
    "enable": "change",
    "export": "access",
    "grant": "change",
    "lock": "change",
    "login": "start",
    "logout": "end",
    "move": "change",
    "publish": "change",
    "read": "access",
    "remove": "change",
    "rename": "change",
    "resume": "change",
    "revoke": "change",
    "send": "info",
    "start": "start",
    "suspend": "change",
    "unarchive": "change",
    "unlock": "change",
    "unpublish": "change",
    "update": "change",
}
# What ECS expects of a category; another type becomes `info`.
_EXPECTED_TYPES: Mapping[str, frozenset[str]] = {
    "api": frozenset({"access", "change", "creation", "deletion", "end", "info", "start"}),
    "authentication": frozenset({"end", "info", "start"}),
    "configuration": frozenset({"access", "change", "creation", "deletion", "info"}),
    "file": frozenset({"access", "change", "creation", "deletion", "info"}),
    "iam": frozenset({"change", "creation", "deletion", "info"}),
}

_is_action = re.compile(ACTION_PATTERN).fullmatch
_is_word = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch  # as the catalogue has them


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of event. Encoders remember what they make of it: there are few."""

    action: str
    category: str
    operation: str
    description: str
    severity: Severity
    ocsf_class: int
    ocsf_activity: int
    ocsf_activity_name: str
    ecs_category: str
    ecs_types: tuple[str, ...]


def look_up(
    catalogue: Catalogue, action: str, category: str | None = None, operation: str | None = None
) -> Kind:
    """Classify an action; without `category` and `operation`, as the catalogue does.

    Raises Unencodable for what no catalogue could hold, so that nothing large is remembered.
    """
    if not _is_action(action):
        raise Unencodable(RejectCode.INVALID_VALUE, f"action: does not match {ACTION_PATTERN}")
    known = catalogue.describe(action)
    category, operation = category or known.category, operation or known.operation
    for field, word in (("category", category), ("operation", operation)):
        if not _is_word(word):
            raise Unencodable(RejectCode.INVALID_VALUE, f"{field}: not a word of a catalogue")
    ocsf_class, ecs_category, ecs_types = _CATEGORIES.get(category, _OTHER_CATEGORY)
    if exception := _EXCEPTIONS.get((category, operation)):
        ocsf_class, ecs_category = exception
    activity, name = _ACTIVITIES[ocsf_class].get(operation, (99, operation))
    ecs_type = _ECS_TYPES.get(operation, "info")
    if ecs_type not in _EXPECTED_TYPES[ecs_category]:
        ecs_type = "info"
    return Kind(
        action=action,
        category=category,
        operation=operation,
        description=known.description or action,
        severity=known.severity,
        ocsf_class=ocsf_class,
        ocsf_activity=activity,
        ocsf_activity_name=name,
        ecs_category=ecs_category,
        ecs_types=(*ecs_types, ecs_type),
    )
