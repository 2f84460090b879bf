"""An OTLP/HTTP receiver of logs that decodes protobuf and answers as the specification says."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.receivers.server import Behaviour, Call, Reply, normal, serving

TOKEN = "Bearer 7f3a9c"


class Otlp:
    """May be looked at and changed from the test's thread at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.token = TOKEN
        self.behaviour: Behaviour = normal
        # Which of a request's records are taken.
        self.choose: Callable[[Sequence[LogRecord]], Sequence[LogRecord]] = lambda records: records
        self.records: list[LogRecord] = []
        self.requests: list[ExportLogsServiceRequest] = []
        self._lock = threading.Lock()

    @property
    def delivered(self) -> Counter[str]:
        with self._lock:
            return Counter(uid_of(record) for record in self.records)

    def answer(self, call: Call) -> Reply:
        assert call.path == "/v1/logs", call.path
        assert call.headers["content-type"] == "application/x-protobuf"
        if call.headers.get("authorization") != self.token:
            return Reply(401)
        reply = self.behaviour(call)
        if reply is not None and (reply.drop or reply.status != 200):
            return reply
        request = ExportLogsServiceRequest.FromString(call.body)
        records = records_of(request)
        response = ExportLogsServiceResponse()
        with self._lock:
            self.requests.append(request)
            taken = self.choose(records)
            self.records += taken
        if len(taken) < len(records):
            response.partial_success.rejected_log_records = len(records) - len(taken)
            response.partial_success.error_message = f"too old, said {TOKEN}"
        return Reply(
            200,
            response.SerializeToString(),
            {"Content-Type": "application/x-protobuf"},
            reply.before if reply is not None else lambda: None,
        )


def records_of(request: ExportLogsServiceRequest) -> list[LogRecord]:
    return [
        record
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def uid_of(record: LogRecord) -> str:
    return next(a.value.string_value for a in record.attributes if a.key == "log.record.uid")


@contextmanager
def otlp() -> Iterator[Otlp]:
    """Serve on loopback until the block ends."""
    receiver = Otlp()
    with serving(receiver.answer) as receiver.url:
        yield receiver
