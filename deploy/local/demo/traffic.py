"""A believable stream of audit events without end, the same for the same seed.

Some twenty stories are under way at a time, each about one person with settled places and
devices. Shares (failures, IPv6) are steered to their targets rather than drawn, so that they hold
for short streams too.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from auditbus.deploy.local.demo import user_agents
from auditbus.deploy.local.demo.places import PLACES
from auditbus.deploy.local.demo.scenes import Cast, Scene, Story, Via
from auditbus.deploy.local.demo.stories import FAILURES, ROUND
from auditbus.deploy.local.demo.user_agents import UserAgent
from auditbus.deploy.local.demo.world import Account, build_world
from auditbus.producers import EventFields

FAILURE_SHARE = 0.03
IPV6_SHARE = 0.10
_STORIES_UNDER_WAY = 20
_PHONE_SHARE = 0.3

_WORKER = {"type": "service", "id": "backup-worker", "name": "Backup worker"}
_SCHEDULER = {"type": "system", "id": "scheduler", "name": "Scheduler"}
_CODE_HOST = {"type": "service", "id": "github", "name": "GitHub"}
_CODE_HOST_PLACE = PLACES[0]
_WORKER_AGENT = UserAgent("backup-worker/4.7.1")


@dataclass(slots=True)
class _Telling:
    """A story under way: from where its people act, and how its last scene ended."""

    story: Story
    cast: Cast
    ipv6: bool
    web: UserAgent
    session_id: str
    failed: bool | None = None

    def next_scene(self) -> Scene | None:
        """Return the next scene; None after the last."""
        try:
            return next(self.story) if self.failed is None else self.story.send(self.failed)
        except StopIteration:
            return None


@dataclass(slots=True)
class _Share:
    """Steers how many of those so far have something."""

    target: float
    seen: int = 0
    having: int = 0

    @property
    def is_low(self) -> bool:
        return self.having < self.target * (self.seen + 1)

    def count(self, *, has: bool) -> None:
        self.seen += 1
        self.having += has


class Traffic(Iterator[EventFields]):
    """Yields the fields of one event at a time, ready for `AuditProducer.emit`."""

    def __init__(self, seed: int = 1) -> None:
        """Build the world of `seed`; takes some 20 ms."""
        self._random = Random(seed)  # noqa: S311 - a demo that must repeat, nothing secret
        self._accounts = build_world(self._random)
        self._code_host_agents = user_agents.webhook_senders()
        self._scanners = user_agents.scanners()
        self._rounds: deque[Callable[[Cast], Story]] = deque()
        self._turns: deque[Account] = deque()
        self._visits = dict.fromkeys((account.id for account in self._accounts), 0)
        self._under_way: list[_Telling] = []
        self._failures = _Share(FAILURE_SHARE)
        self._ipv6 = _Share(IPV6_SHARE)

    def __next__(self) -> EventFields:
        """Return the next event; never ends."""
        while True:
            while len(self._under_way) < _STORIES_UNDER_WAY:
                self._under_way.append(self._begin())
            place = self._random.randrange(len(self._under_way))
            telling = self._under_way[place]
            if scene := telling.next_scene():
                return self._event(telling, scene)
            del self._under_way[place]

    def _begin(self) -> _Telling:
        account = self._next_account()
        visit = self._visits[account.id]
        self._visits[account.id] += 1
        person = account.people[visit % len(account.people)]
        cast = Cast(account, person, self._random)
        ipv6 = self._ipv6.is_low
        self._ipv6.count(has=ipv6)
        return _Telling(
            story=self._next_story()(cast),
            cast=cast,
            ipv6=ipv6,
            web=person.phone if self._random.random() < _PHONE_SHARE else person.browser,
            session_id=f"{self._random.getrandbits(64):016x}",
        )

    def _next_account(self) -> Account:
        if not self._turns:
            # Each account has a turn, some have more: the first ones are the large customers.
            busy = self._accounts[::4] + self._accounts[::8]
            self._turns.extend(self._shuffled(self._accounts + busy))
        return self._turns.popleft()

    def _next_story(self) -> Callable[[Cast], Story]:
        if not self._rounds:
            told = [story for story, times in ROUND.items() for _ in range(times)]
            self._rounds.extend(self._shuffled(told))
        return self._rounds.popleft()

    def _shuffled(self, items: list[Any]) -> list[Any]:
        return self._random.sample(items, k=len(items))

    def _event(self, telling: _Telling, scene: Scene) -> EventFields:
        failed = scene.must_fail or (scene.action in FAILURES and self._fails_now())
        self._failures.count(has=failed)
        telling.failed = failed
        event: EventFields = {
            "action": scene.action,
            "account": {"id": telling.cast.account.id, "name": telling.cast.account.name},
            "actor": self._actor(telling, scene),
            "context": self._context(telling, scene),
            "outcome": "failure" if failed else "success",
        }
        if scene.description:
            event["description"] = scene.description
        if scene.targets:
            event["targets"] = scene.targets
        if scene.changes and not failed:
            event["changes"] = scene.changes
        if scene.metadata:
            event["metadata"] = scene.metadata
        if failed:
            code, message = self._random.choice(FAILURES[scene.action])
            event["error"] = {"code": code, "message": message}
        return event

    def _fails_now(self) -> bool:
        # Not at the first chance, or the most frequent action would have all the failures.
        return self._failures.is_low and self._random.random() < 1 / 4

    def _actor(self, telling: _Telling, scene: Scene) -> dict[str, Any]:
        person = telling.cast.person
        delegate = {"type": "user", "id": person.id, "name": person.name}
        match scene.via:
            case Via.WORKER:
                return _WORKER
            case Via.SCHEDULER:
                return _SCHEDULER
            case Via.CODE_HOST:
                return _CODE_HOST | {"on_behalf_of": delegate}
            case Via.API:
                return person.actor | {"credential": {"type": "api_token", "id": f"t-{person.id}"}}
            case Via.SUPPORT:
                support = {"type": "user", "id": "support-3", "name": "Support"}
                return support | {"on_behalf_of": delegate}
            case _:
                return person.actor

    def _context(self, telling: _Telling, scene: Scene) -> dict[str, Any]:
        context: dict[str, Any] = {
            "ip": self._address(telling, scene),
            "request_id": f"{self._random.getrandbits(64):016x}",
        }
        if agent := self._agent(telling, scene):
            context["user_agent"] = agent.text
            if agent.hints:
                context["client_hints"] = agent.hints
        if scene.via is Via.WEB:
            context["session_id"] = telling.session_id
        return context

    def _agent(self, telling: _Telling, scene: Scene) -> UserAgent | None:
        match scene.via:
            case Via.SCHEDULER:
                return None
            case Via.API:
                return telling.cast.person.command_line
            case Via.WORKER:
                return _WORKER_AGENT
            case Via.CODE_HOST:
                return self._random.choice(self._code_host_agents)
            case Via.SCANNER:
                return self._random.choice(self._scanners)
            case _:
                return telling.web

    def _address(self, telling: _Telling, scene: Scene) -> str:
        match scene.via:
            case Via.WEB | Via.API:
                person = telling.cast.person
                return person.ipv6 if telling.ipv6 else person.ipv4
            case Via.WORKER | Via.SCHEDULER:
                account = telling.cast.account
                return account.worker_ipv6 if telling.ipv6 else account.worker_ipv4
        place = self._random.choice(PLACES) if scene.via is Via.SCANNER else _CODE_HOST_PLACE
        return (
            place.ipv6_address(self._random) if telling.ipv6 else place.ipv4_address(self._random)
        )
