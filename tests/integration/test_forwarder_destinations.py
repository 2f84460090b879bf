"""Each destination on real Kafka, received as its vendor documents."""

import time
from pathlib import Path

import orjson
import pytest

from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    dead_ids,
    dead_letters,
    destination,
    forwarder_settings,
    forwarding,
    publish,
    publish_values,
)
from tests.pipeline import event, wait_until
from tests.receivers.elasticsearch import elasticsearch
from tests.receivers.otlp import TOKEN, otlp, uid_of
from tests.receivers.splunk import splunk


@pytest.mark.parametrize("ack", [True, False], ids=["ack", "no-ack"])
def test_splunk_gets_every_event_once_in_its_envelope(
    kafka: Kafka, unique_prefix: str, ack: bool
) -> None:
    with splunk(ack=ack, indexers=3) as receiver:
        receiver.index = "audit"
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, ack=ack, index="audit", batch_events=100),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 2000)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 2000, deadline_s=30, what="all indexed")
            wait_until(
                lambda: sum(committed(settings, "soc").values()) == 2000,
                deadline_s=30,
                what="all committed",
            )
        check_exactly_once(ids, receiver.delivered)
        assert not ack or receiver.polls < receiver.posts  # one question is for many requests
        first = next(e for e in receiver.events if e["fields"]["id"] == ids[0])
        sent = first["event"]
        assert first["host"] == first["source"] == "auditbus"
        assert first["sourcetype"] == "auditbus:event"
        assert sent["id"] == ids[0]
        assert abs(first["time"] - time.time()) < 300
        assert sent["occurred_at"].endswith(f"{first['time']:.3f}"[-4:] + "Z")


def test_of_a_refused_splunk_request_one_event_is_dead_and_the_rest_arrives(
    kafka: Kafka, unique_prefix: str
) -> None:
    with splunk(ack=False) as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, ack=False),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 500)
        receiver.refused = {ids[7], ids[8], ids[490]}
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 497, deadline_s=30, what="the others")
            letters = dead_letters(settings, 3)
            wait_until(
                lambda: sum(committed(settings, "soc").values()) == 500,
                deadline_s=30,
                what="all committed",
            )
        check_exactly_once(ids, receiver.delivered, dead_ids(letters))
        assert {letter.code for letter in letters} == {"hec_6"}
        assert set(dead_ids(letters)) == receiver.refused
        assert all("Invalid data format" in dict(letter.extra)["response"] for letter in letters)
        assert all(dict(letter.extra)["destination"] == "soc" for letter in letters)


def test_with_acknowledgement_those_before_a_refused_event_are_sent_again(
    kafka: Kafka, unique_prefix: str
) -> None:
    """They are indexed, said the vendor; but there is no id to poll for them."""
    with splunk() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=destination("splunk", receiver.url)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 200)
        receiver.refused = {ids[100]}
        with forwarding(settings):
            wait_until(
                lambda: sum(committed(settings, "soc").values()) == 200,
                deadline_s=30,
                what="all committed",
            )
            letters = dead_letters(settings, 1)
        assert set(dead_ids(letters)) == receiver.refused
        check_nothing_lost(ids, receiver.delivered, dead_ids(letters))


def test_elasticsearch_stores_every_event_once_with_its_time(
    kafka: Kafka, unique_prefix: str
) -> None:
    with elasticsearch() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, siem=destination("elasticsearch", receiver.url)
        )
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 1000)
        spelt = event(1, id="spelt", metadata={"text": "a\nb\u2028"})
        own = event(1, id="own", **{"@timestamp": "2026-01-01T00:00:00Z"})
        publish_values(
            settings,
            enriched,
            [
                (b"k", orjson.dumps(spelt, option=orjson.OPT_INDENT_2)),
                (b"k", orjson.dumps(own)),
                (b"k", b"{}"),
            ],
        )
        with forwarding(settings):
            wait_until(lambda: len(receiver.documents) == 1003, deadline_s=30, what="all stored")
        nameless = next(name for name in receiver.documents if name.startswith("sha256-"))
        assert receiver.documents[nameless].keys() == {"@timestamp"}
        check_exactly_once([*ids, "spelt", "own", nameless], receiver.delivered)
        assert set(receiver.statuses) == {201}
        assert receiver.documents["own"]["@timestamp"] == "2026-01-01T00:00:00Z"
        stored = receiver.documents["spelt"]
        assert stored.pop("@timestamp") == spelt["occurred_at"]
        assert stored == spelt


def test_of_mixed_items_only_what_was_not_stored_is_sent_again(
    kafka: Kafka, unique_prefix: str
) -> None:
    """FAULTS 17: 200 with `errors: true`, and 201, 409, 429, 503 and 400 side by side."""
    with elasticsearch() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, siem=destination("elasticsearch", receiver.url)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 900)
        poison, busy, failing, there = ids[::100], set(ids[1::50]), set(ids[2::50]), ids[3::50]
        for name in there:
            receiver.documents[name] = {}

        def status_of(name: str, _document: object) -> int | None:
            tries = receiver.sent[name]
            if name in poison:
                return 400
            if name in busy and tries <= 2:
                return 429
            return 503 if name in failing and tries <= 1 else None

        receiver.status_of = status_of
        with forwarding(settings):
            wait_until(lambda: len(receiver.documents) == 891, deadline_s=30, what="the others")
            letters = dead_letters(settings, 9)
            wait_until(
                lambda: sum(committed(settings, "siem").values()) == 900,
                deadline_s=30,
                what="all committed",
            )
        check_exactly_once(ids, receiver.delivered, dead_ids(letters))
        assert {receiver.sent[name] for name in busy} == {3}
        assert {receiver.sent[name] for name in failing} == {2}
        assert {n for i, n in receiver.sent.items() if i not in busy | failing} == {1}
        assert {letter.code for letter in letters} == {"item_400"}
        assert "document_parsing_exception" in letters[0].reason
        assert "occurred_at" not in letters[0].reason  # it is logged
        assert "occurred_at" in dict(letters[0].extra)["response"]


@pytest.mark.parametrize("status", [403, 404])
def test_items_refused_for_want_of_rights_or_stream_are_no_dead_letters(
    kafka: Kafka, unique_prefix: str, status: int
) -> None:
    with elasticsearch() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, siem=destination("elasticsearch", receiver.url)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 100)
        receiver.status_of = lambda name, _: status if name in ids[::10] else None
        with forwarding(settings):
            wait_until(lambda: receiver.sent[ids[0]] > 2, deadline_s=30, what="tries")
            receiver.status_of = lambda _name, _document: None
            wait_until(lambda: len(receiver.documents) == 100, deadline_s=30, what="all stored")
        check_exactly_once(ids, receiver.delivered)
        assert not dead_letters(settings, 1, deadline_s=1)


def test_otlp_gets_every_event_as_a_log_record(kafka: Kafka, unique_prefix: str) -> None:
    with otlp() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, otel=destination("otlp", receiver.url)
        )
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 500)
        odd = event(
            7, id="odd", context={"ip": "::1", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
        ) | {"error": {"code": "E", "message": "no"}}
        publish_values(settings, enriched, [(b"k", orjson.dumps(odd))])
        with forwarding(settings):
            wait_until(lambda: len(receiver.records) == 501, deadline_s=30, what="all delivered")
        check_exactly_once([*ids, "odd"], receiver.delivered)
        record = next(r for r in receiver.records if uid_of(r) == "odd")
        assert orjson.loads(record.body.string_value) == odd
        assert record.event_name == "StorageDeleted"
        assert (record.severity_number, record.severity_text) == (18, "high")  # a failure
        assert record.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
        attributes = {a.key: a.value.string_value for a in record.attributes}
        assert attributes["client.address"] == "::1"
        assert attributes["auditbus.account.id"] == "account-7"
        (resource,) = {
            r.resource.SerializeToString() for q in receiver.requests for r in q.resource_logs
        }
        assert b"service.name" in resource


def test_a_partial_success_is_not_sent_again_and_loses_nothing(
    kafka: Kafka, unique_prefix: str
) -> None:
    with otlp() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            otel=destination("otlp", receiver.url, batch_events=20),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 400)
        old = set(ids[:3])
        receiver.choose = lambda records: [r for r in records if uid_of(r) not in old]
        with forwarding(settings):
            wait_until(
                lambda: sum(committed(settings, "otel").values()) == 400,
                deadline_s=30,
                what="all committed",
            )
            letters = dead_letters(settings, 60, deadline_s=5)
        sent = [
            uid_of(r)
            for q in receiver.requests
            for x in q.resource_logs
            for s in x.scope_logs
            for r in s.log_records
        ]
        assert sorted(sent) == sorted(ids)  # each once: nothing was sent again
        assert set(receiver.delivered) | set(dead_ids(letters)) == set(ids)
        assert old <= dead_ids(letters).keys()
        assert {letter.code for letter in letters} == {"partial_success"}
        assert "of the 20 events" in letters[0].reason
        answer = dict(letters[0].extra)["response"]
        assert answer.startswith("too old")
        assert TOKEN not in answer


def test_otlp_is_not_asked_again_for_what_the_specification_forbids(
    kafka: Kafka, unique_prefix: str
) -> None:
    """500 blames the payload: split to the one event, dead if an empty request is taken."""
    from tests.receivers.otlp import records_of
    from tests.receivers.server import Call, Reply

    with otlp() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, otel=destination("otlp", receiver.url)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 64)

        def fail(call: Call) -> Reply | None:
            from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
                ExportLogsServiceRequest,
            )

            records = records_of(ExportLogsServiceRequest.FromString(call.body))
            return Reply(500) if ids[5] in map(uid_of, records) else None

        receiver.behaviour = fail
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 63, deadline_s=40, what="the others")
            letters = dead_letters(settings, 1)
        check_exactly_once(ids, receiver.delivered, dead_ids(letters))
        assert [letter.code for letter in letters] == ["http_500"]


def test_a_file_gets_a_line_an_event_and_is_made_anew_when_it_was_moved(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    file, moved = tmp_path / "audit.ndjson", tmp_path / "audit.ndjson.1"
    file.write_bytes(b'{"cut sho')  # by a kill, say
    settings = forwarder_settings(
        kafka.bootstrap_servers,
        unique_prefix,
        local={"type": "file", "path": str(file), "linger_ms": 20},
    )
    enriched = settings.kafka.topics.enriched
    ids = publish(settings, enriched, 300)
    spelt = event(1, id="spelt", metadata={"text": "a\nb"})
    publish_values(settings, enriched, [(b"k", orjson.dumps(spelt, option=orjson.OPT_INDENT_2))])
    with forwarding(settings):
        wait_until(lambda: _lines(file) == 302, deadline_s=30, what="all written")
        file.rename(moved)
        more = publish(settings, enriched, 100)
        wait_until(lambda: file.exists() and _lines(file) == 100, deadline_s=30, what="the rest")
    assert file.stat().st_mode & 0o777 == 0o600
    first, *old = moved.read_bytes().splitlines()
    assert first == b'{"cut sho'
    events = [orjson.loads(line) for line in [*old, *file.read_bytes().splitlines()]]
    assert sorted(e["id"] for e in events) == sorted([*ids, "spelt", *more])
    assert next(e for e in events if e["id"] == "spelt") == spelt
    assert sum(committed(settings, "local").values()) == 401


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


@pytest.mark.parametrize("kind", ["splunk", "elasticsearch", "otlp"])
def test_an_event_over_the_cap_is_a_dead_letter_and_a_large_batch_is_split(
    kafka: Kafka, unique_prefix: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event may be that large (256 KiB): the cap is lowered instead."""
    monkeypatch.setattr(f"auditbus.sinks.siem.destinations.{kind}._MAX_BODY_BYTES", 20_000)
    receivers = {"splunk": splunk, "elasticsearch": elasticsearch, "otlp": otlp}
    with receivers[kind]() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=destination(kind, receiver.url)
        )
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 150)
        huge = event(7, description="x" * 30_000)
        publish_values(settings, enriched, [(b"account-7", orjson.dumps(huge))])
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 150, deadline_s=40, what="the small ones")
            (letter,) = dead_letters(settings, 1)
    assert letter.code == "too_large"
    assert "over 20000" in letter.reason
    check_exactly_once([*ids, huge["id"]], receiver.delivered, [huge["id"]])
