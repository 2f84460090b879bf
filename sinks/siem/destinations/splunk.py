"""Splunk: the HTTP Event Collector, with or without indexer acknowledgement.

    POST URL/services/collector/event     Authorization: Splunk TOKEN
    X-Splunk-Request-Channel: GUID        gzip, at most 900 KB before it
    {"time": 1763805600.123, "host": ..., "source": ..., "sourcetype": ..., "index": ...,
     "fields": {"id": "..."}, "event": {...}} {"time": ...} ...

Other encodings than JSON travel as text in `event`. Splunk removes no repeats: `fields.id` is an
indexed field to deduplicate by. Sources: Splunk, Format events for HTTP Event Collector;
Troubleshoot HTTP Event Collector (the codes); and for acknowledgement splunk_channel.py.

With acknowledgement, 200 is not enough: events count as delivered once a poll says that they are
indexed, and are sent again where none does within `ack_timeout_s`. A poll that fails in whatever
way is no acknowledgement. Without it, 200 is delivery: what an indexer loses after it is lost.

Of a request that is refused because of one event (codes 6, 12, 13 and 15), those before it are
indexed already; it becomes a dead letter, those behind it are sent again. With acknowledgement,
those before it are sent again too: nothing was said of them that could be polled.
"""

from __future__ import annotations

import time
from enum import IntEnum
from http import HTTPStatus

import msgspec
import orjson
from pydantic import Field, SecretStr

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.destination import DestinationKind, Parcel
from auditbus.sinks.siem.destinations.envelopes import event_id, json_value, time_ms
from auditbus.sinks.siem.destinations.http import (
    UNANSWERED,
    USER_AGENT,
    HttpSettings,
    classify,
    compress,
    open_endpoint,
    too_large,
    unanswered,
)
from auditbus.sinks.siem.destinations.splunk_channel import State, Ticket
from auditbus.sinks.siem.destinations.splunk_polling import Acknowledgements
from auditbus.sinks.siem.encodings import Encoder, Event
from auditbus.sinks.siem.http_client import Answer, CookieJar
from auditbus.sinks.siem.outcomes import (
    Accepted,
    Blocked,
    Delivered,
    Failed,
    Outcome,
    Refusal,
    Rejected,
)
from auditbus.sinks.siem.secrets import cut_secrets, secret_values

__all__ = ["KIND", "HecCode", "SplunkClient", "SplunkSettings"]

_MAX_BODY_BYTES = 900_000  # Splunk Cloud takes 1 MB
_EVENT_PATH = "/services/collector/event"


class HecCode(IntEnum):
    """Codes in Splunk's answers, those that the client looks at."""

    SUCCESS = 0
    NO_DATA = 5
    INVALID_DATA_FORMAT = 6
    INCORRECT_INDEX = 7
    DATA_CHANNEL_MISSING = 10
    INVALID_DATA_CHANNEL = 11
    EVENT_FIELD_REQUIRED = 12
    EVENT_FIELD_BLANK = 13
    ACK_DISABLED = 14
    INDEXED_FIELDS = 15


_BLAMES_EVENT = {
    HecCode.INVALID_DATA_FORMAT,
    HecCode.EVENT_FIELD_REQUIRED,
    HecCode.EVENT_FIELD_BLANK,
    HecCode.INDEXED_FIELDS,
}
# Wrong for every event: a person must look.
_BLAMES_SETTINGS = {
    HecCode.INCORRECT_INDEX: "the token may not write to this index; check index",
    HecCode.DATA_CHANNEL_MISSING: "the channel header did not arrive; check proxies",
    HecCode.INVALID_DATA_CHANNEL: "the channel header did not arrive whole; check proxies",
    HecCode.ACK_DISABLED: "the token has no acknowledgement; enable it, or set ack = false",
}


class SplunkSettings(HttpSettings):
    """Splunk's HTTP Event Collector."""

    batch_events: int = Field(1_000, ge=1, le=10_000)
    """Most events of one request."""
    batch_bytes: int = Field(512 * 1024, ge=1024, le=800_000)
    """Most bytes of events in one request. A body, envelopes included, is 900 KB at most."""
    token: SecretStr
    """Token of the collector."""
    ack: bool = True
    """Wait for indexer acknowledgement; false where the token has none (Splunk Cloud)."""
    ack_poll_s: float = Field(10.0, ge=0.1, le=60)
    """Seconds between questions for acknowledgement."""
    ack_timeout_s: float = Field(300.0, ge=1, le=3600)
    """Seconds after which events that are not acknowledged are sent again."""
    index: str = ""
    """Index; empty for the token's own."""
    host: str = "auditbus"
    """Host that Splunk shows."""
    source: str = "auditbus"
    """Source that Splunk shows."""
    sourcetype: str = "auditbus:event"
    """Source type that Splunk shows, by which it parses events."""


class _Reply(msgspec.Struct, rename="kebab"):
    code: int
    invalid_event_number: int | None = None
    ack_id: int | None = msgspec.field(default=None, name="ackId")


_decode_reply = msgspec.json.Decoder(_Reply).decode


class SplunkClient:
    """Posts to the collector, and polls for acknowledgement."""

    def __init__(self, settings: SplunkSettings) -> None:
        """Prepare; connects at the first request."""
        self._secrets = secret_values(settings)
        self._settings = settings
        self._endpoint = open_endpoint(settings, CookieJar())
        self._headers = {
            "authorization": f"Splunk {settings.token.get_secret_value()}",
            "content-type": "application/json",
            "user-agent": USER_AGENT,
        }
        self._acks = Acknowledgements(
            self._endpoint, self._headers, poll_s=settings.ack_poll_s, secrets=self._secrets
        )

    def deliver(self, parcel: Parcel) -> Outcome:
        """Post `parcel`; with acknowledgement, the outcome comes when it is indexed."""
        body = b"".join(parcel.events)
        if len(body) > _MAX_BODY_BYTES:
            return too_large(len(body), _MAX_BODY_BYTES)
        if self._settings.ack and (trouble := self._acks.trouble()):
            return trouble
        answer, reply, ticket = self._send(body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status != HTTPStatus.OK:
            return self._refused(answer, reply, len(parcel.events))
        return self._wait_for(ticket) if self._settings.ack else Delivered()

    def probe(self) -> Outcome:
        """Post nothing: Splunk answers that there is no data, if the token is right."""
        answer = self._post(b"", self._acks.channels.current)
        if not isinstance(answer, Answer):
            return answer
        reply = _read(answer)
        if reply is not None and reply.code == HecCode.NO_DATA:
            return Delivered()
        return self._refused(answer, reply, 0)

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _send(self, body: bytes) -> tuple[Answer | Outcome, _Reply | None, Ticket | None]:
        """Post in the channel that is in use, and note in it what came of that."""
        channels = self._acks.channels
        channel, serial = channels.begin()
        answer = self._post(body, channel)
        reply = _read(answer) if isinstance(answer, Answer) else None
        ack_id = reply.ack_id if reply is not None else None
        is_refused = isinstance(answer, Answer) and answer.status != HTTPStatus.OK
        is_answered = is_refused or ack_id is not None
        channels.end(channel, serial, ack_id=ack_id, is_answered=is_answered)
        ticket = Ticket(channel, ack_id, time.monotonic()) if ack_id is not None else None
        return answer, reply, ticket

    def _wait_for(self, ticket: Ticket | None) -> Outcome:
        if ticket is None:
            self._acks.doubt()
            return Blocked("ack_missing", "200 without an ackId: the token has no acknowledgement")
        return Accepted(lambda: self._confirm(ticket), self._settings.ack_poll_s)

    def _post(self, body: bytes, channel: str) -> Answer | Outcome:
        headers = {
            **self._headers,
            "content-encoding": "gzip",
            "x-splunk-request-channel": channel,
        }
        try:
            return self._endpoint.post(compress(body), headers, path=_EVENT_PATH)
        except UNANSWERED as error:
            return unanswered(error)

    def _confirm(self, ticket: Ticket) -> Outcome:
        """Say whether a request is indexed by now, asking Splunk at most once an interval."""
        trouble = self._acks.poll()
        match self._acks.channels.state(ticket):
            case State.INDEXED:
                return Delivered()
            case State.LOST:
                return Failed("ack_lost", "the indexer restarted, or sessions are not kept")
        if isinstance(trouble, Blocked):
            self._acks.channels.forget(ticket)
            return trouble
        if time.monotonic() - ticket.taken_at > self._settings.ack_timeout_s:
            self._acks.channels.forget(ticket)
            return Failed(
                "ack_timeout", f"not acknowledged within {self._settings.ack_timeout_s:g} s"
            )
        return self._wait_for(ticket)

    def _refused(self, answer: Answer, reply: _Reply | None, count: int) -> Outcome:
        excerpt = cut_secrets(answer.excerpt, self._secrets)
        if answer.status != HTTPStatus.BAD_REQUEST or reply is None:
            return classify(answer, excerpt)
        code, reason = f"hec_{reply.code}", f"HTTP 400, code {reply.code}"
        if reply.code in _BLAMES_SETTINGS:
            return Blocked(code, f"{reason}: {_BLAMES_SETTINGS[HecCode(reply.code)]}")
        number = reply.invalid_event_number
        if reply.code not in _BLAMES_EVENT or number is None or not 0 <= number < count:
            return Rejected(code, reason, excerpt)
        indexed = 0 if self._settings.ack else number
        again = set(range(indexed, count)) - {number}
        return Delivered({number: Refusal(code, f"{reason}, event {number}", excerpt)}, again)


def _read(answer: Answer) -> _Reply | None:
    try:
        return _decode_reply(answer.body)
    except msgspec.MsgspecError:
        return None


def _encoder(settings: SplunkSettings, catalogue: Catalogue) -> Encoder:
    """Wrap an encoded event; what is the same for all is made once."""
    value = json_value(settings.encoding, catalogue)
    names = {"host": settings.host, "source": settings.source, "sourcetype": settings.sourcetype}
    names |= {"index": settings.index} if settings.index else {}
    common = orjson.dumps(names)[1:-1]

    def encode(event: Event) -> bytes:
        return b'{"time":%.3f,%b,"fields":{"id":%b},"event":%b}\n' % (
            time_ms(event) / 1000,
            common,
            orjson.dumps(event_id(event)),
            value(event),
        )

    return encode


KIND = DestinationKind(
    settings=SplunkSettings,
    connect=SplunkClient,
    ordered=False,
    encoder=_encoder,
)
