"""What tests/receivers/elasticsearch.py claims of `_bulk` is what a real OpenSearch does."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import urllib3

from auditbus.sinks.siem.destination import Client, Parcel
from auditbus.sinks.siem.encodings import Event
from auditbus.sinks.siem.outcomes import Blocked, Delivered
from auditbus.sinks.siem.registry import load_destinations
from tests.backends.opensearch.node import opensearch
from tests.pipeline import event

_TEMPLATE = {
    "index_patterns": ["logs-auditbus-*"],
    "data_stream": {},
    "template": {
        "settings": {"number_of_replicas": 0},
        "mappings": {
            "properties": {
                "@timestamp": {"type": "date"},
                "metadata": {"properties": {"number": {"type": "long"}}},
            }
        },
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with opensearch(tmp_path_factory.mktemp("opensearch")) as found:
        assert _call(found, "PUT", "/_index_template/audit", _TEMPLATE)["acknowledged"]
        yield found


def _call(url: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    options = {} if body is None else {"json": body}
    answer: dict[str, Any] = urllib3.request(method, url + path, **options).json()
    return answer


def _deliver(url: str, *events: dict[str, Any], **fields: Any) -> Any:
    client, parcel = _client(url, *events, **fields)
    try:
        return client.deliver(parcel)
    finally:
        client.close()


def _client(url: str, *events: dict[str, Any], **fields: Any) -> tuple[Client, Parcel]:
    table = {"type": "elasticsearch", "url": url, "allow_private_targets": True, **fields}
    (found,) = load_destinations({"siem": table}, {})
    encode = found.kind.encoder(found.settings, found.catalogue)
    values = [orjson.dumps(made) for made in events]
    bodies = [encode(Event(value, orjson.loads(value), 0)) for value in values]
    return found.kind.connect(found.settings), Parcel("p", bodies, 0)


def _count(url: str, stream: str) -> int:
    _call(url, "POST", f"/{stream}/_refresh")
    count: int = _call(url, "GET", f"/{stream}/_count")["count"]
    return count


def test_a_repeat_is_stored_once_and_one_bad_event_alone_is_refused(url: str) -> None:
    stream = "logs-auditbus-repeat"
    events = [event(number) for number in range(5)]
    events[2]["metadata"] = {"number": "none"}
    for _ in range(2):  # the second time, four answer 409
        outcome = _deliver(url, *events, data_stream=stream)
        assert isinstance(outcome, Delivered)
        assert not outcome.again
        assert outcome.refused.keys() == {2}
        assert outcome.refused[2].code == "item_400"
        assert "none" not in outcome.refused[2].reason
    assert _count(url, stream) == 4
    hits = _call(url, "GET", f"/{stream}/_search")["hits"]["hits"]
    assert {hit["_id"] for hit in hits} == {e["id"] for e in events if e is not events[2]}
    assert all(hit["_source"]["@timestamp"] == hit["_source"]["occurred_at"] for hit in hits)


def test_a_batch_without_fault_is_delivered(url: str) -> None:
    stream = "logs-auditbus-good"
    assert _deliver(url, *map(event, range(50)), data_stream=stream) == Delivered()
    assert _count(url, stream) == 50


def test_the_probe_is_taken_and_stores_nothing(url: str) -> None:
    client, _ = _client(url, data_stream="logs-auditbus-probe")
    assert client.probe() == Delivered()
    client.close()


def test_no_such_data_stream_is_a_matter_for_a_person(url: str) -> None:
    setting = {"transient": {"action.auto_create_index": "false"}}
    assert _call(url, "PUT", "/_cluster/settings", setting)["acknowledged"]
    outcome = _deliver(url, event(1), data_stream="elsewhere")
    assert isinstance(outcome, Blocked)
    assert outcome.code == "item_404"
