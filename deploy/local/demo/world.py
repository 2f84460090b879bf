"""The demo's customers: accounts, the people in them, and what they back up."""

from dataclasses import dataclass, field
from itertools import cycle, product
from random import Random
from typing import Any, TypeVar

from auditbus.deploy.local.demo import user_agents
from auditbus.deploy.local.demo.places import PLACES, Place
from auditbus.deploy.local.demo.user_agents import UserAgent

T = TypeVar("T")

ACCOUNTS = 240
_PEOPLE_PER_ACCOUNT = (2, 6)
_ABROAD = 0.15
"""The share of people who live elsewhere than their company."""

_ADJECTIVES = [
    "amber",
    "bold",
    "brisk",
    "calm",
    "clear",
    "deep",
    "early",
    "fair",
    "golden",
    "green",
    "high",
    "iron",
    "keen",
    "lunar",
    "north",
    "quiet",
]
_NOUNS = [
    "anchor",
    "bay",
    "birch",
    "bridge",
    "cedar",
    "cloud",
    "field",
    "forge",
    "harbor",
    "lake",
    "meadow",
    "mill",
    "orbit",
    "peak",
    "river",
    "stone",
]
_FIRST_NAMES = [
    "Aiko",
    "Amara",
    "Anna",
    "Ben",
    "Carlos",
    "Chen",
    "Daniel",
    "Dmitri",
    "Elena",
    "Emma",
    "Fatima",
    "Felix",
    "Grace",
    "Hana",
    "Ibrahim",
    "Ingrid",
    "Jamal",
    "Julia",
    "Kofi",
    "Lars",
    "Leila",
    "Lucas",
    "Maria",
    "Mateo",
    "Mei",
    "Nadia",
    "Noah",
    "Olga",
    "Omar",
    "Priya",
    "Rahul",
    "Sara",
    "Sofia",
    "Tomas",
]
_LAST_NAMES = [
    "Abe",
    "Andersen",
    "Bauer",
    "Costa",
    "Diaz",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kim",
    "Kumar",
    "Lopez",
    "Mbeki",
    "Moreau",
    "Nguyen",
    "Novak",
    "Okafor",
    "Patel",
    "Rossi",
    "Sato",
    "Schmidt",
    "Silva",
    "Smith",
    "Tanaka",
    "Torres",
    "Virtanen",
    "Weber",
    "Yilmaz",
]
_REPOSITORIES = [
    "api",
    "billing",
    "charts",
    "docs",
    "gateway",
    "infra",
    "ledger",
    "mobile",
    "search",
    "website",
    "worker",
]


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with habits: always the same places and devices."""

    id: str
    name: str
    email: str
    ipv4: str
    ipv6: str
    browser: UserAgent
    phone: UserAgent
    command_line: UserAgent

    @property
    def actor(self) -> dict[str, Any]:
        """The person as an event's `actor`."""
        return {"type": "user", "id": self.id, "name": self.name, "email": self.email}


@dataclass(frozen=True, slots=True)
class Account:
    """A customer."""

    id: str
    name: str
    place: Place
    repositories: tuple[str, ...]
    worker_ipv4: str
    worker_ipv6: str
    people: list[Person] = field(default_factory=list)


def build_world(random: Random) -> list[Account]:
    """Return the customers: the same for the same `random`."""
    slugs = ["-".join(pair) for pair in product(_ADJECTIVES, _NOUNS)]
    # Every country has its customers before the larger markets get more.
    places = list(PLACES) + random.choices(PLACES[:20], k=ACCOUNTS - len(PLACES))
    accounts = [
        Account(
            id=slug,
            name=slug.replace("-", " ").title(),
            place=place,
            repositories=tuple(
                f"{slug}/{name}" for name in random.sample(_REPOSITORIES, k=random.randint(3, 6))
            ),
            worker_ipv4=place.ipv4_address(random),
            worker_ipv6=place.ipv6_address(random),
        )
        for slug, place in zip(_shuffled(random, slugs), places, strict=False)
    ]
    _populate(accounts, random)
    return accounts


def _populate(accounts: list[Account], random: Random) -> None:
    browsers, phones, command_lines = (
        cycle(_shuffled(random, kind))
        for kind in (
            user_agents.browsers(),
            user_agents.phones(),
            user_agents.command_line_clients(),
        )
    )
    sizes = {account.id: random.randint(*_PEOPLE_PER_ACCOUNT) for account in accounts}
    # Everyone's first colleague before anyone's second: those who act first have devices of their
    # own.
    for rank, account in product(range(max(sizes.values())), accounts):
        if rank >= sizes[account.id]:
            continue
        home = random.choice(PLACES) if random.random() < _ABROAD else account.place
        first, last = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
        account.people.append(
            Person(
                id=f"u-{account.id}-{rank + 1}",
                name=f"{first} {last}",
                email=f"{first}.{last}@{account.id}.example".lower(),
                ipv4=home.ipv4_address(random),
                ipv6=home.ipv6_address(random),
                browser=next(browsers),
                phone=next(phones),
                command_line=next(command_lines),
            )
        )


def _shuffled(random: Random, items: list[T]) -> list[T]:
    return random.sample(items, k=len(items))
