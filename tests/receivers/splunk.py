"""A Splunk HTTP Event Collector as documented: codes, channels, acknowledgement, a load balancer.

Sources: Splunk, Format events for HTTP Event Collector; Troubleshoot HTTP Event Collector; About
HTTP Event Collector Indexer Acknowledgment. What is answered 200 is indexed at once, or, while
`holding`, once it is let go; a restart loses what is not indexed, and the counters of ids.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from uuid import UUID

from tests.receivers.server import Behaviour, Call, Reply, normal, serving

TOKEN = "b5a3f5c2-6b1f-4c38-8d2c-0d3f7b9a1e11"


@dataclass
class _Channel:
    next_id: int = 0
    queued: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    indexed: set[int] = field(default_factory=set)


class Splunk:
    """May be looked at and changed from the test's thread at any time."""

    def __init__(self, *, ack: bool, indexers: int, sticky: bool) -> None:
        self.url = ""
        self.token = TOKEN
        self.index = ""  # the only one allowed; empty: any
        self.ack = ack
        self.holding = False  # what comes is not indexed, so not acknowledged
        self.refused: set[str] = set()  # ids of events that it takes for malformed
        self.behaviour: Behaviour = normal
        self.events: list[dict[str, Any]] = []  # as indexed
        self.posts = 0
        self.polls = 0
        self.channels: set[str] = set()
        self.largest = 0
        self._sticky = sticky
        self._turn = 0
        self._indexers: list[dict[str, _Channel]] = [{} for _ in range(indexers)]
        self._lock = threading.Lock()

    @property
    def delivered(self) -> Counter[str]:
        """How often each event was indexed, by its indexed field `id`."""
        with self._lock:
            return Counter(event["fields"]["id"] for event in self.events)

    def release(self) -> None:
        """Index what was held, and everything from now on."""
        with self._lock:
            self.holding = False
            for indexer in self._indexers:
                for channel in indexer.values():
                    self._index(channel)

    def restart(self) -> None:
        """Lose what is in memory: events not yet indexed, channels and their counters."""
        with self._lock:
            self._indexers = [{} for _ in self._indexers]

    def answer(self, call: Call) -> Reply:
        reply = self.behaviour(call)
        if reply is not None and (reply.drop or reply.status != 200):
            return reply
        with self._lock:
            indexer, headers = self._route(call)
            own = self._answer(call, self._indexers[indexer])
            before = reply.before if reply is not None else own.before
            return Reply(own.status, own.body, {**own.headers, **headers}, before)

    def _route(self, call: Call) -> tuple[int, dict[str, str]]:
        """As a load balancer does: by its cookie, else to each in turn."""
        cookie = SimpleCookie(call.headers.get("cookie", "")).get("route")
        if self._sticky and cookie is not None:
            return int(cookie.value), {}
        self._turn = (self._turn + 1) % len(self._indexers)
        return self._turn, {"Set-Cookie": f"route={self._turn}; Path=/"} if self._sticky else {}

    def _answer(self, call: Call, indexer: dict[str, _Channel]) -> Reply:
        name = call.headers.get("x-splunk-request-channel", "")
        is_poll = call.path == "/services/collector/ack"
        if refusal := self._refusal(call.headers.get("authorization", ""), name, is_poll=is_poll):
            return refusal
        self.channels.add(name)
        channel = indexer.setdefault(name, _Channel())
        if is_poll:
            return self._poll(call, channel)
        assert call.path == "/services/collector/event", call.path
        return self._take(call, channel)

    def _refusal(self, authorization: str, channel: str, *, is_poll: bool) -> Reply | None:
        cases = [
            (not authorization, (401, 2, "Token is required")),
            (not authorization.startswith("Splunk "), (401, 3, "Invalid authorization")),
            (authorization != f"Splunk {self.token}", (403, 4, "Invalid token")),
            (is_poll and not self.ack, (400, 14, "ACK is disabled")),
            (self.ack and not channel, (400, 10, "Data channel is missing")),
            (self.ack and not _is_guid(channel), (400, 11, "Invalid data channel")),
        ]
        return next((_say(*refusal) for applies, refusal in cases if applies), None)

    def _poll(self, call: Call, channel: _Channel) -> Reply:
        self.polls += 1
        acks = {}
        for ack_id in json.loads(call.body)["acks"]:
            acks[str(ack_id)] = ack_id in channel.indexed
            channel.indexed.discard(ack_id)  # forgotten once it was true
        return Reply(200, json.dumps({"acks": acks}).encode())

    def _take(self, call: Call, channel: _Channel) -> Reply:
        self.posts += 1
        self.largest = max(self.largest, len(call.body))
        if not call.body.strip():
            return _say(400, 5, "No data")
        good, refusal = self._parse(call.body.decode())
        if refusal is not None:
            self.events += good  # those before it are indexed already
            return refusal
        ack_id, channel.next_id = channel.next_id, channel.next_id + 1
        channel.queued[ack_id] = good
        if not self.holding:
            self._index(channel)
        return _say(200, 0, "Success", **({"ackId": ack_id} if self.ack else {}))

    def _index(self, channel: _Channel) -> None:
        for ack_id, events in channel.queued.items():
            self.events += events
            channel.indexed.add(ack_id)
        channel.queued.clear()

    def _parse(self, text: str) -> tuple[list[dict[str, Any]], Reply | None]:
        found: list[dict[str, Any]] = []
        position = 0
        while position < len(text):
            number = {"invalid-event-number": len(found)}
            try:
                event, position = json.JSONDecoder().raw_decode(text, position)
            except ValueError:
                return found, _say(400, 6, "Invalid data format", **number)
            cases = [
                ("event" not in event, (400, 12, "Event field is required")),
                (event.get("event") in ("", None), (400, 13, "Event field cannot be blank")),
                (not _is_flat(event), (400, 15, "Error in handling indexed fields")),
                (self.index not in ("", event.get("index")), (400, 7, "Incorrect index")),
                (event["fields"]["id"] in self.refused, (400, 6, "Invalid data format")),
            ]
            for applies, refusal in cases:
                if applies:
                    return found, _say(*refusal, **number)
            found.append(event)
            while position < len(text) and text[position].isspace():
                position += 1
        return found, None


def _say(status: int, code: int, text: str, **more: int) -> Reply:
    return Reply(status, json.dumps({"text": text, "code": code, **more}).encode())


def _is_flat(event: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in event["fields"].values())


def _is_guid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@contextmanager
def splunk(*, ack: bool = True, indexers: int = 1, sticky: bool = True) -> Iterator[Splunk]:
    """Serve on loopback until the block ends."""
    receiver = Splunk(ack=ack, indexers=indexers, sticky=sticky)
    with serving(receiver.answer) as receiver.url:
        yield receiver
