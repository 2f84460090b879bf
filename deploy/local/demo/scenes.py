"""What a demo story is made of: a cast, and one scene after the other."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

from auditbus.deploy.local.demo.world import Account, Person


class Via(Enum):
    """Who does it, and through what."""

    WEB = "a person in a browser"
    API = "a person's token, from the command line"
    SUPPORT = "the operator's support, for a person"
    SCHEDULER = "the clock"
    WORKER = "the backup service"
    CODE_HOST = "the code host's webhook"
    SCANNER = "a stranger's automaton"


@dataclass(frozen=True, slots=True)
class Scene:
    """One action of a story. `must_fail` is for what never works."""

    action: str
    via: Via = Via.WEB
    description: str | None = None
    targets: Sequence[Mapping[str, str]] = ()
    changes: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    must_fail: bool = False


@dataclass(frozen=True, slots=True)
class Cast:
    """Whom a story is about."""

    account: Account
    person: Person
    random: Random

    def repository(self) -> dict[str, str]:
        """Draw one of the account's repositories."""
        name = self.random.choice(self.account.repositories)
        return target("repository", name)

    def number(self) -> int:
        """Draw a number for something's name."""
        return self.random.randrange(1000, 10_000)


Story = Generator[Scene, bool, None]


def target(kind: str, name: str, id_: str | None = None) -> dict[str, str]:
    """Return one entry of `targets`."""
    return {"type": kind, "id": id_ or name, "name": name}


def edit(field_name: str, before: object, after: object) -> dict[str, Any]:
    """Return one entry of `changes`."""
    return {"field": field_name, "before": before, "after": after}
