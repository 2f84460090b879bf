"""Polls Splunk for acknowledgement: one question for all requests of the channel that wait."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import orjson

from auditbus.sinks.siem.destinations.http import UNANSWERED, classify, unanswered
from auditbus.sinks.siem.destinations.splunk_channel import Channels
from auditbus.sinks.siem.http_client import Answer, Endpoint
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome
from auditbus.sinks.siem.secrets import cut_secrets

__all__ = ["Acknowledgements"]

_PATH = "/services/collector/ack"
_ACK_DISABLED = 14
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_MAX_IDS = 10_000
# Requests that wait ask each for itself; within this part of an interval one question is for all.
_SHARED = 0.5


class _Acks(msgspec.Struct):
    acks: dict[str, bool]


class _Refusal(msgspec.Struct):
    code: int


_decode_acks = msgspec.json.Decoder(_Acks).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


class Acknowledgements:
    """Safe to use from several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        *,
        poll_s: float,
        secrets: tuple[str, ...],
    ) -> None:
        """Poll through `endpoint`, no more often than twice in `poll_s` seconds."""
        self.channels = Channels()
        self._endpoint = endpoint
        self._headers = headers
        self._pause_s = min(poll_s * _SHARED, 1.0)
        self._secrets = secrets
        self._lock = threading.Lock()
        self._polled_at = -math.inf
        self._is_known_enabled = False

    def trouble(self) -> Outcome | None:
        """Say why events must not be sent: the token has no acknowledgement, or may not be used.

        Asks Splunk, the first time and after `doubt`: else events would be sent, and sent again,
        that can never be acknowledged. The answer also brings a load balancer's cookie, before
        several requests at a time would be spread over several indexers.
        """
        with self._lock:
            if self._is_known_enabled:
                return None
            outcome = self._ask(self.channels.current, [])
            self._is_known_enabled = not isinstance(outcome, Blocked | Failed)
            return None if self._is_known_enabled else outcome

    def doubt(self) -> None:
        """Ask again before the next events are sent."""
        self._is_known_enabled = False

    def poll(self) -> Outcome | None:
        """Ask for all that wait, unless that was done a moment ago; return what went wrong."""
        with self._lock:
            now = time.monotonic()
            if now - self._polled_at < self._pause_s:
                return None
            self._polled_at = now
            channel, waiting = self.channels.current, self.channels.waiting
            for first in range(0, len(waiting), _MAX_IDS):
                outcome = self._ask(channel, waiting[first : first + _MAX_IDS])
                if not isinstance(outcome, Delivered):
                    return outcome
        return None

    def _ask(self, channel: str, ack_ids: list[int]) -> Outcome:
        headers = {**self._headers, "x-splunk-request-channel": channel}
        try:
            answer = self._endpoint.post(
                orjson.dumps({"acks": ack_ids}),
                headers,
                path=_PATH,
                answer_bytes=_MAX_ANSWER_BYTES,
            )
        except UNANSWERED as error:
            return unanswered(error)
        if answer.status != HTTPStatus.OK:
            return self._refused(answer)
        try:
            acks = _decode_acks(answer.body).acks
            self.channels.hear(channel, {int(name): acks[name] for name in acks})
        except ValueError:  # msgspec's is one
            return Failed("ack_answer", "the answer is not that of the acknowledgement endpoint")
        return Delivered()

    def _refused(self, answer: Answer) -> Outcome:
        """Judge what is no acknowledgement. To an empty question, 400 may be the answer."""
        try:
            code = _decode_refusal(answer.body).code
        except msgspec.MsgspecError:
            code = None
        if code == _ACK_DISABLED:
            return Blocked("ack_disabled", "the token has no acknowledgement: set ack = false")
        return classify(answer, cut_secrets(answer.excerpt, self._secrets))
