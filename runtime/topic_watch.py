"""Notices that a topic was deleted and made anew while it is being read.

Its offsets begin again, so a consumer could go on in the middle of the new topic, and nobody would
see the gap. A reader commits with the topic's id as metadata and stops when the id changes; when
it begins again it finds an offset of another topic, and reads the new one from its start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from confluent_kafka.admin import AdminClient

from auditbus.runtime.errors import KafkaUnreachable, TopicMisconfigured
from auditbus.runtime.topic_admin import describe_topics

__all__ = ["TopicWatch", "topic_id_of"]

_EVERY_S = 10.0


def topic_id_of(admin: AdminClient, topic: str) -> str:
    """Return Kafka's id of `topic`. Raises TopicMisconfigured where it is missing."""
    state = describe_topics(admin, [topic]).get(topic)
    if state is None:
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")
    return state.topic_id


class TopicWatch:
    """Asks for the topic's id now and then, in a daemon thread. Use as a context manager."""

    def __init__(
        self, read_id: Callable[[], str], topic: str, *, every_s: float = _EVERY_S
    ) -> None:
        """Read the id that the topic has now; raises what `read_id` raises."""
        self.topic_id = read_id()
        self._read_id = read_id
        self._topic = topic
        self._every_s = every_s
        self._stop = threading.Event()
        self._problem: TopicMisconfigured | None = None

    def check(self) -> None:
        """Raise TopicMisconfigured once the topic is gone or another one."""
        if self._problem is not None:
            raise self._problem

    def _run(self) -> None:
        while self._problem is None and not self._stop.wait(self._every_s):
            try:
                found = self._read_id()
            except KafkaUnreachable:
                continue
            except TopicMisconfigured as problem:
                self._problem = problem
                return
            if found != self.topic_id:
                self._problem = TopicMisconfigured(f"{self._topic} was deleted and made anew")

    def __enter__(self) -> Self:
        """Start asking."""
        threading.Thread(target=self._run, name="topic-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking."""
        self._stop.set()
