"""Counters of acknowledgement that begin anew: no word is believed that may be false."""

import random
from dataclasses import dataclass, field

import pytest

from auditbus.sinks.siem.destinations.splunk_channel import Channels, State, Ticket


def _post(channels: Channels, ack_id: int | None, *, is_answered: bool = True) -> Ticket:
    channel, serial = channels.begin()
    channels.end(channel, serial, ack_id=ack_id, is_answered=is_answered)
    return Ticket(channel, -1 if ack_id is None else ack_id, 0.0)


def test_an_acknowledged_request_is_indexed_once_it_is_heard_of() -> None:
    channels = Channels()
    first, second = _post(channels, 0), _post(channels, 1)
    assert channels.waiting == [0, 1]
    channels.hear(first.channel, {0: True, 1: False})
    assert channels.state(first) is State.INDEXED
    assert channels.state(second) is State.WAITING
    assert channels.waiting == [1]


def test_an_id_that_comes_twice_ends_the_channel() -> None:
    channels = Channels()
    first, second = _post(channels, 0), _post(channels, 0)
    assert channels.current != first.channel
    assert channels.state(first) is channels.state(second) is State.LOST
    assert not channels.waiting


def test_the_word_counts_once_no_twin_can_be_under_way() -> None:
    channels = Channels()
    first = _post(channels, 0)
    channel, serial = channels.begin()
    channels.hear(channel, {0: True})
    assert channels.state(first) is State.WAITING
    channels.end(channel, serial, ack_id=1, is_answered=True)
    assert channels.state(first) is State.INDEXED


def test_an_early_id_is_not_believed_after_a_request_without_an_answer() -> None:
    channels = Channels()
    tickets = [_post(channels, ack_id) for ack_id in range(3)]
    _post(channels, None, is_answered=False)
    channels.hear(channels.current, {0: True, 1: True, 2: True})
    states = [channels.state(ticket) for ticket in tickets]
    assert states == [State.LOST, State.INDEXED, State.INDEXED]


def test_what_is_given_up_is_not_asked_for() -> None:
    channels = Channels()
    ticket = _post(channels, 4)
    channels.forget(ticket)
    assert not channels.waiting
    assert channels.state(ticket) is State.LOST


@dataclass
class _Indexer:
    """Counters and what is indexed; a restart loses both, and what was held."""

    counters: dict[str, int] = field(default_factory=dict)
    held: dict[tuple[str, int], int] = field(default_factory=dict)
    true: set[tuple[str, int]] = field(default_factory=set)

    def post(self, channel: str, request: int) -> int:
        ack_id = self.counters.get(channel, 0)
        self.counters[channel] = ack_id + 1
        self.held[channel, ack_id] = request
        return ack_id

    def index(self) -> set[int]:
        done = set(self.held.values())
        self.true |= self.held.keys()
        self.held.clear()
        return done

    def poll(self, channel: str, ids: list[int]) -> dict[int, bool]:
        found = {ack_id: (channel, ack_id) in self.true for ack_id in ids}
        self.true -= {(channel, ack_id) for ack_id in ids}
        return found

    def restart(self) -> None:
        self.__init__()  # type: ignore[misc]


_STEPS = {"begin": 12, "answer": 12, "lose": 1, "index": 4, "poll": 8, "hear": 8, "restart": 1}


@pytest.mark.parametrize(("indexers", "at_least"), [(1, 1000), (2, 20)])
def test_nothing_counts_as_indexed_that_is_not(indexers: int, at_least: int) -> None:
    """Requests and polls overlap, go to any indexer, get lost, and indexers restart."""
    believed = sum(_simulate(random.Random(seed), indexers) for seed in range(400))
    assert believed > at_least  # and it does not get by with believing nothing


def _simulate(rng: random.Random, indexers: int) -> int:
    """Take 200 steps at random; return how many requests were believed to be indexed."""
    channels, servers = Channels(), [_Indexer() for _ in range(indexers)]
    under_way: list[tuple[int, str, int, int]] = []  # request, channel, serial, id
    answers: list[tuple[str, dict[int, bool]]] = []
    tickets: dict[int, Ticket] = {}
    indexed: set[int] = set()
    believed = 0
    for request, step in enumerate(rng.choices(list(_STEPS), list(_STEPS.values()), k=200)):
        server = rng.choice(servers)
        if step == "begin":
            channel, serial = channels.begin()
            under_way.append((request, channel, serial, server.post(channel, request)))
        elif step in {"answer", "lose"} and under_way:
            number, channel, serial, ack_id = under_way.pop(rng.randrange(len(under_way)))
            lost = step == "lose"
            channels.end(channel, serial, ack_id=None if lost else ack_id, is_answered=not lost)
            if not lost:
                tickets[number] = Ticket(channel, ack_id, 0.0)
        elif step == "index":
            indexed |= server.index()
        elif step == "poll":
            channel = channels.current
            answers.append((channel, server.poll(channel, channels.waiting)))
        elif step == "hear" and answers:
            channels.hear(*answers.pop(rng.randrange(len(answers))))
        elif step == "restart":
            server.restart()
        for number, ticket in list(tickets.items()):
            state = channels.state(ticket)
            if state is not State.WAITING:
                del tickets[number]
            assert state is not State.INDEXED or number in indexed
            believed += state is State.INDEXED
    return believed
