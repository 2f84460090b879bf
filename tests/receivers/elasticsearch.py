"""The `_bulk` API of Elasticsearch and OpenSearch as documented, for one data stream.

`status_of` decides what an item answers; None stores it: 201, or 409 where its `_id` is there.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.receivers.server import Behaviour, Call, Reply, normal, serving

API_KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="


class Elasticsearch:
    """May be looked at and changed from the test's thread at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.authorization = f"ApiKey {API_KEY}"
        self.status_of: Callable[[str, dict[str, Any]], int | None] = lambda _id, _document: None
        self.behaviour: Behaviour = normal
        self.documents: dict[str, dict[str, Any]] = {}
        self.statuses: Counter[int] = Counter()
        self.sent: Counter[str] = Counter()  # how often each id came, whatever the answer
        self.requests = 0
        self.largest = 0
        self._lock = threading.Lock()

    @property
    def delivered(self) -> Counter[str]:
        """Every id that is stored; each is stored once."""
        with self._lock:
            return Counter(self.documents.keys())

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization", "") != self.authorization:
            return Reply(401, b'{"error":{"type":"security_exception"},"status":401}')
        reply = self.behaviour(call)
        if reply is not None and (reply.drop or reply.status != 200):
            return reply
        with self._lock:
            own = self._bulk(call)
        return own if reply is None else Reply(own.status, own.body, before=reply.before)

    def _bulk(self, call: Call) -> Reply:
        path, _, query = call.path.partition("?")
        assert path == "/logs-auditbus-default/_bulk", path
        assert query == "filter_path=errors,items.*.status,items.*.error"
        assert call.headers["content-type"] == "application/x-ndjson"
        self.requests += 1
        self.largest = max(self.largest, len(call.body))
        if not call.body.strip() or not call.body.endswith(b"\n"):
            return Reply(400, b'{"error":{"type":"parse_exception"},"status":400}')
        lines = call.body.decode().split("\n")[:-1]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            ((op, target),) = json.loads(action).items()
            assert op == "create", "a data stream takes nothing else"
            items.append({"create": self._create(target["_id"], json.loads(source))})
        errors = any(item["create"]["status"] >= 300 for item in items)
        return Reply(200, json.dumps({"errors": errors, "items": items}).encode())

    def _create(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        self.sent[name] += 1
        status, kind = self.status_of(name, document), "es_rejected_execution_exception"
        if status is None and "@timestamp" not in document:
            status, kind = 400, "document_parsing_exception"
        elif status is None and name in self.documents:
            status, kind = 409, "version_conflict_engine_exception"
        elif status == 400:
            kind = "document_parsing_exception"
        elif status is None:
            status = 201
            self.documents[name] = document
        self.statuses[status] += 1
        if status == 201:
            return {"status": status}
        return {"status": status, "error": {"type": kind, "reason": f"[1:2] {document}"}}


@contextmanager
def elasticsearch() -> Iterator[Elasticsearch]:
    """Serve on loopback until the block ends."""
    receiver = Elasticsearch()
    with serving(receiver.answer) as receiver.url:
        yield receiver
