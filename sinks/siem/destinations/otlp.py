"""OpenTelemetry: OTLP over HTTP, logs as protobuf.

    POST URL/v1/logs        content-type: application/x-protobuf, gzip
    ExportLogsServiceRequest with one resource (service.name) and one scope (auditbus)

Each event is a LogRecord: `body` the encoded event as a string, `event_name` the action, severity
as over syslog, attributes
`log.record.uid` (the event's id: records with the same are duplicates), account, user, client and
outcome by OpenTelemetry's names. Source: OTLP specification, OTLP/HTTP; semantic conventions.

The specification forbids to send again what was refused, and 429, 502, 503 and 504 alone may be
tried again. An audit event must not be lost by it, so:

- `partial_success` with `rejected_log_records`: the answer says how many, not which. All events of
  the request become dead letters, those taken among them, with the receiver's words: none is sent
  again, none is lost, and whoever reads the dead letters finds by `log.record.uid` what is there.
- Any other 4xx and 5xx blames the payload: after some tries it is split to the one event, which is
  a dead letter only if the receiver takes an empty request; else the receiver is at fault: alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import (
    LogRecord,
    ResourceLogs,
    ScopeLogs,
    SeverityNumber,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from pydantic import Field, SecretStr

from auditbus import __version__
from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.destination import DestinationKind, Parcel
from auditbus.sinks.siem.destinations.envelopes import event_id, time_us
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
from auditbus.sinks.siem.encodings.severities import syslog_severity
from auditbus.sinks.siem.http_client import Answer
from auditbus.sinks.siem.outcomes import Delivered, Failed, Outcome, Refusal, Rejected
from auditbus.sinks.siem.secrets import cut_secrets, secret_values

__all__ = ["KIND", "OtlpClient", "OtlpSettings"]

_PATH = "/v1/logs"
_MAX_BODY_BYTES = 16 * 1024 * 1024  # the collector takes 20 MiB
_MAX_ANSWER_BYTES = 64 * 1024
_TRACE_ID_BYTES = 16
# What the logs data model of OpenTelemetry, appendix B, makes of syslog's severities.
_SEVERITIES = {
    6: SeverityNumber.SEVERITY_NUMBER_INFO,
    5: SeverityNumber.SEVERITY_NUMBER_INFO2,
    4: SeverityNumber.SEVERITY_NUMBER_WARN,
    3: SeverityNumber.SEVERITY_NUMBER_ERROR,
    2: SeverityNumber.SEVERITY_NUMBER_ERROR2,
}


class OtlpSettings(HttpSettings):
    """An OpenTelemetry collector, or whatever takes OTLP logs over HTTP."""

    batch_bytes: int = Field(1024 * 1024, ge=1024, le=12 * 1024 * 1024)
    """Most bytes of events in one request. A body is 16 MiB at most."""
    token: SecretStr | None = None
    """Value of `token_header`, the whole of it, such as `Bearer TOKEN`."""
    token_header: str = Field("authorization", pattern=r"^[A-Za-z0-9-]{1,60}$")
    """Header that carries the token."""
    service_name: str = Field("auditbus", min_length=1)
    """`service.name` of the resource."""


class OtlpClient:
    """Posts requests of log records."""

    def __init__(self, settings: OtlpSettings) -> None:
        """Prepare; connects at the first request."""
        self._secrets = secret_values(settings)
        self._headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": USER_AGENT,
        }
        if settings.token is not None:
            self._headers[settings.token_header] = settings.token.get_secret_value()
        self._resource = Resource(
            attributes=_attributes(
                {"service.name": settings.service_name, "service.version": __version__}
            )
        )
        self._endpoint = open_endpoint(settings)

    def deliver(self, parcel: Parcel) -> Outcome:
        """Post `parcel` as one request."""
        # Each is a ScopeLogs with one record; protobuf reads them joined as one with all of them.
        records = ScopeLogs.FromString(b"".join(parcel.events))
        records.scope.CopyFrom(InstrumentationScope(name="auditbus", version=__version__))
        request = ExportLogsServiceRequest(
            resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[records])]
        )
        return self._post(request, len(parcel.events))

    def probe(self) -> Outcome:
        """Post a request without records."""
        return self._post(ExportLogsServiceRequest(), 0)

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _post(self, request: ExportLogsServiceRequest, count: int) -> Outcome:
        body = request.SerializeToString()
        if len(body) > _MAX_BODY_BYTES:
            return too_large(len(body), _MAX_BODY_BYTES)
        try:
            answer = self._endpoint.post(
                compress(body), self._headers, path=_PATH, answer_bytes=_MAX_ANSWER_BYTES
            )
        except UNANSWERED as error:
            return unanswered(error)
        excerpt = cut_secrets(answer.excerpt, self._secrets)
        outcome = classify(answer, excerpt)
        if isinstance(outcome, Delivered):
            return self._judge(answer, count)
        if isinstance(outcome, Failed) and _may_not_retry(answer.status):
            return Rejected(outcome.code, outcome.reason, excerpt)
        return outcome

    def _judge(self, answer: Answer, count: int) -> Outcome:
        try:
            partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
        except DecodeError:
            return Failed("answer", "the answer is not that of OTLP")
        rejected = partial.rejected_log_records
        if rejected <= 0:
            return Delivered()
        refusal = Refusal(
            "partial_success",
            f"{rejected} of the {count} events of one request were rejected; the answer does not "
            "say which",
            cut_secrets(partial.error_message, self._secrets)[:1_000],
        )
        return Delivered(dict.fromkeys(range(count), refusal))


def _may_not_retry(status: int) -> bool:
    """Whether OTLP forbids to try again after a status that says nothing of credentials."""
    return status >= HTTPStatus.BAD_REQUEST and status not in {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }


def _attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(string_value=value))
        for key, value in values.items()
        if isinstance(value, str) and value
    ]


def _encoder(settings: OtlpSettings, catalogue: Catalogue) -> Encoder:
    encode_body = ENCODINGS[settings.encoding].encoder(catalogue)

    def encode(event: Event) -> bytes:
        fields = event.fields
        account, actor, context = (_object(fields.get(n)) for n in ("account", "actor", "context"))
        outcome, failed = fields.get("outcome"), fields.get("error") is not None
        is_failure = outcome == "failure" or (outcome is None and failed)
        action = _text(fields.get("action"))
        severity = catalogue.describe(action).severity
        record = LogRecord(
            time_unix_nano=time_us(event) * 1000,
            observed_time_unix_nano=max(event.timestamp_ms, 0) * 1_000_000,
            severity_number=_SEVERITIES[syslog_severity(severity, is_failure=is_failure)],
            severity_text=severity,
            event_name=action,
            body=AnyValue(string_value=encode_body(event).decode(errors="replace")),
            attributes=_attributes(
                {
                    "log.record.uid": event_id(event),
                    "auditbus.account.id": account.get("id"),
                    "auditbus.category": fields.get("category"),
                    "auditbus.outcome": outcome,
                    "user.id": actor.get("id"),
                    "client.address": context.get("ip"),
                }
            ),
            trace_id=_trace_id(context.get("trace_id")),
        )
        return ScopeLogs(log_records=[record]).SerializeToString()

    return encode


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _trace_id(value: object) -> bytes:
    """Return the 16 bytes of a trace id in hexadecimal; none where it is something else."""
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return found if len(found) == _TRACE_ID_BYTES else b""


KIND = DestinationKind(
    settings=OtlpSettings,
    connect=OtlpClient,
    ordered=False,
    encoder=_encoder,
)
