"""Elasticsearch and OpenSearch: the `_bulk` API, into a data stream.

    POST URL/DATA_STREAM/_bulk          Authorization: ApiKey KEY, or Basic
    {"create": {"_id": "EVENT ID"}}
    {"@timestamp": "...", ...event...}

Data streams take `create` alone, which answers 409 for an `_id` that is there already: so an event
that is sent again is stored once (as long as the stream has not rolled over in between). Sources:
Elastic's and OpenSearch's reference of the bulk API.

HTTP 200 says nothing of the items. Each has a status of its own:

    2xx, 409         stored, or there already
    429, 5xx         sent again, alone
    401, 403, 404    credentials or data stream are wrong, for all of them: pause and alarm. All are
                     sent again, the stored ones answer 409
    other 4xx        the event is at fault (it does not fit the mapping): dead letter

Other encodings than JSON travel as `message` of a document. An event whose own `@timestamp` is
there keeps it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Self

import msgspec
import orjson
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.destination import DestinationKind, Parcel
from auditbus.sinks.siem.destinations.envelopes import event_id, json_value, on_one_line, time_text
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
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, Event
from auditbus.sinks.siem.http_client import Answer
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome, Refusal
from auditbus.sinks.siem.secrets import cut_secrets, secret_values

__all__ = ["KIND", "ElasticsearchClient", "ElasticsearchSettings"]

_MAX_BODY_BYTES = 5_000_000  # Elastic advises 5 to 15 MB; a proxy in front often takes less
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_EXCERPT_CHARACTERS = 1_000
_SHORT = 64  # bytes under which a document may be an empty object, white space and all
_WANTED = "filter_path=errors,items.*.status,items.*.error"
_WRONG_FOR_ALL = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class ElasticsearchSettings(HttpSettings):
    """A data stream of Elasticsearch or OpenSearch."""

    batch_events: int = Field(3_000, ge=1, le=100_000)
    """Most events of one request."""
    batch_bytes: int = Field(2 * 1024 * 1024, ge=1024, le=4 * 1024 * 1024)
    """Most bytes of events in one request. A body is 5 MB at most."""
    data_stream: str = "logs-auditbus-default"
    """Data stream (or index) that takes the events."""
    api_key: SecretStr | None = None
    """API key as the server shows it encoded (base64 of id:key)."""
    username: str = ""
    """User, where there is no API key."""
    password: SecretStr | None = None
    """Password of the user."""

    @field_validator("data_stream")
    @classmethod
    def _check_data_stream(cls, name: str) -> str:
        if (
            not name
            or name != name.lower()
            or set(name) & set('\\/*?"<>| ,#:')
            or name[0] in "_-+."
        ):
            raise PydanticCustomError("data_stream", "must be the name of one data stream")
        return name

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise PydanticCustomError("username", "username and password go together")
        if self.api_key is not None and self.username:
            raise PydanticCustomError("api_key", "api_key and username are both set: keep one")
        return self


class _Item(msgspec.Struct):
    status: int
    error: Any = None


class _Reply(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Item]] = []


_decode_reply = msgspec.json.Decoder(_Reply).decode


class ElasticsearchClient:
    """Posts bulk requests."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        """Prepare; connects at the first request."""
        self._secrets = secret_values(settings)
        self._path = f"/{settings.data_stream}/_bulk?{_WANTED}"
        self._headers = {
            "content-type": "application/x-ndjson",
            "content-encoding": "gzip",
            "user-agent": USER_AGENT,
            **_authorization(settings),
        }
        self._endpoint = open_endpoint(settings)

    def deliver(self, parcel: Parcel) -> Outcome:
        """Post `parcel` and say what became of each item."""
        body = b"".join(parcel.events)
        if len(body) > _MAX_BODY_BYTES:
            return too_large(len(body), _MAX_BODY_BYTES)
        answer = self._post(body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status != HTTPStatus.OK:
            return self._classify(answer)
        try:
            reply = _decode_reply(answer.body)
        except msgspec.MsgspecError:
            return Failed("answer", "the answer is not that of the bulk API")
        return self._judge(reply, len(parcel.events))

    def probe(self) -> Outcome:
        """Post a bulk request that does nothing: the server refuses it as empty, if authorised."""
        answer = self._post(b"\n")
        if isinstance(answer, Answer) and answer.status == HTTPStatus.BAD_REQUEST:
            return Delivered()
        return self._classify(answer) if isinstance(answer, Answer) else answer

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _post(self, body: bytes) -> Answer | Outcome:
        try:
            return self._endpoint.post(
                compress(body), self._headers, path=self._path, answer_bytes=_MAX_ANSWER_BYTES
            )
        except UNANSWERED as error:
            return unanswered(error)

    def _classify(self, answer: Answer) -> Outcome:
        if answer.status == HTTPStatus.NOT_FOUND:
            return Blocked("http_404", "HTTP 404: no such data stream; check url and data_stream")
        return classify(answer, cut_secrets(answer.excerpt, self._secrets))

    def _judge(self, reply: _Reply, count: int) -> Outcome:
        if not reply.errors and len(reply.items) == count:
            return Delivered()
        items = [item for entry in reply.items for item in entry.values()]
        if len(items) != count:
            return Failed("answer", f"{len(items)} items answered of {count}")
        wrong = next((item for item in items if item.status in _WRONG_FOR_ALL), None)
        if wrong is not None:
            return Blocked(
                f"item_{wrong.status}",
                f"items answer {wrong.status} ({_error_type(wrong)}); check credentials and "
                "data_stream",
            )
        return self._sort(items)

    def _sort(self, items: Sequence[_Item]) -> Outcome:
        again, refused = set(), {}
        for index, item in enumerate(items):
            status = item.status
            if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                continue
            if status == HTTPStatus.CONFLICT:
                continue
            if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                again.add(index)
            else:
                refused[index] = self._refusal(item)
        # Where nothing of several moved, that is the destination, not its items.
        if len(again) == len(items) > 1:
            status = items[0].status
            return Failed(f"item_{status}", f"all items answer {status}", throttled=True)
        return Delivered(refused, again)

    def _refusal(self, item: _Item) -> Refusal:
        said = orjson.dumps(item.error).decode()
        return Refusal(
            f"item_{item.status}",
            f"the item is refused with {item.status} ({_error_type(item)})",
            cut_secrets(said, self._secrets)[:_EXCERPT_CHARACTERS],
        )


def _error_type(item: _Item) -> str:
    """Return the error's class, such as document_parsing_exception; its reason quotes the event."""
    found = item.error.get("type") if isinstance(item.error, dict) else None
    named = isinstance(found, str) and found.replace("_", "").isalnum() and found.isascii()
    return found[:80] if named and isinstance(found, str) else "no reason given"


def _authorization(settings: ElasticsearchSettings) -> dict[str, str]:
    if settings.api_key is not None:
        return {"authorization": f"ApiKey {settings.api_key.get_secret_value()}"}
    if settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _encoder(settings: ElasticsearchSettings, catalogue: Catalogue) -> Encoder:
    value = json_value(settings.encoding, catalogue)
    is_json = ENCODINGS[settings.encoding].is_json
    document = _timed(on_one_line(value)) if is_json else _message(value)

    def encode(event: Event) -> bytes:
        name = orjson.dumps(event_id(event))
        return b'{"create":{"_id":' + name + b"}}\n" + document(event) + b"\n"

    return encode


def _timed(encode: Encoder) -> Encoder:
    """Add the `@timestamp` that a data stream demands, where there is none."""

    def encode_timed(event: Event) -> bytes:
        body = encode(event)
        if not body.startswith(b"{"):
            body = body.lstrip()
        if b'"@timestamp"' in body and "@timestamp" in orjson.loads(body):
            return body
        head = b'{"@timestamp":"' + time_text(event).encode() + b'"'
        is_empty = len(body) < _SHORT and not orjson.loads(body)
        return head + b"}" if is_empty else head + b"," + body[1:]

    return encode_timed


def _message(encode: Encoder) -> Encoder:
    return lambda event: (
        b'{"@timestamp":"%b","message":%b}' % (time_text(event).encode(), encode(event))
    )


KIND = DestinationKind(
    settings=ElasticsearchSettings,
    connect=ElasticsearchClient,
    ordered=False,
    encoder=_encoder,
)
