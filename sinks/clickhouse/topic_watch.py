"""Notices that a topic was deleted and made anew while the sink was reading it.

Its offsets begin again, so the consumer could go on in the middle of the new topic and nobody would
see the gap. The sink stops instead; when it starts again it reads the new topic from its beginning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

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
    """Asks for the topic's id now and then, in a daemon thread."""

    def __init__(
        self, read_id: Callable[[], str], topic: str, topic_id: str, *, every_s: float = _EVERY_S
    ) -> None:
        """Compare what `read_id` returns with `topic_id`."""
        self._read_id = read_id
        self._topic = topic
        self._topic_id = topic_id
        self._every_s = every_s
        self._stop = threading.Event()
        self._problem: TopicMisconfigured | None = None

    def start(self) -> None:
        """Start asking."""
        threading.Thread(target=self._run, name="topic-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop asking."""
        self._stop.set()

    def check(self) -> None:
        """Raise TopicMisconfigured once the topic is gone or another one."""
        if self._problem is not None:
            raise self._problem

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                found = self._read_id()
            except KafkaUnreachable:
                continue
            except TopicMisconfigured as problem:
                self._problem = problem
                return
            if found != self._topic_id:
                self._problem = TopicMisconfigured(
                    f"{self._topic} was deleted and made anew; start the sink again: it reads the "
                    "new topic from its beginning"
                )
                return
