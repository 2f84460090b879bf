"""The webhook on real Kafka, received and verified as a customer would, bad records among it."""

import ssl
import subprocess
import time
from pathlib import Path

import orjson
import pytest
import urllib3
from prometheus_client import REGISTRY

from auditbus.deploy.local.ports import free_port
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.webhook import WebhookClient, WebhookSettings
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed
from auditbus.sinks.siem.registry import load_destinations
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    dead_letters,
    forwarder_settings,
    forwarding,
    publish,
    publish_values,
    webhook,
)
from tests.pipeline import event, wait_until
from tests.webhook_receiver import SECRET, Reply, Request, receiving

OTHER_SECRET = "whsec_" + "QUJD" * 11


@pytest.mark.parametrize("topic", ["enriched", "raw"])
def test_every_event_arrives_once_in_order_and_byte_for_byte(
    kafka: Kafka, unique_prefix: str, topic: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, topic=topic)
        )
        topics = settings.kafka.topics
        name = topics.events if topic == "raw" else topics.enriched
        ids = publish(settings, name, 1000)
        odd = event(9, id="odd", account={"id": "odd"}, metadata={"number": 1, "x": "\u2028é"})
        spelt = orjson.dumps(odd, option=orjson.OPT_INDENT_2)
        publish_values(settings, name, [(b"odd", spelt)])
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 1001, deadline_s=30, what="all delivered")
        check_exactly_once([*ids, "odd"], receiver.delivered)
        for number in range(0, 50, 7):
            assert receiver.order(f"account-{number}") == list(range(number, 1000, 50))
        assert any(spelt in body for body in receiver.bodies)
        assert {r.envelope["type"] for r in receiver.taken} == {"audit.events"}
        assert all(len(r.events) <= 200 for r in receiver.taken)
        assert len({r.id for r in receiver.taken}) == len(receiver.taken)
        assert sum(committed(settings, "soc").values()) == 1001
        with forwarding(settings):  # what is committed is not sent again
            more = publish(settings, name, 10)
            wait_until(
                lambda: set(more) <= receiver.delivered.keys(), deadline_s=30, what="the new ones"
            )
        check_exactly_once([*ids, "odd", *more], receiver.delivered)


def test_records_that_are_no_events_become_dead_letters_and_the_rest_flows(
    kafka: Kafka, unique_prefix: str
) -> None:
    bad: dict[str, bytes | None] = {
        "tombstone": None,
        "empty": b"",
        "malformed_json": b'{"id": 1}], "data": [{',
        "not_utf8": b'{"id": "\xff"}',
        "not_an_object": b"[1, 2]",
    }
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, topic="raw")
        )
        ids = publish(settings, settings.kafka.topics.events, 30)
        publish_values(settings, settings.kafka.topics.events, [(b"k", v) for v in bad.values()])
        ids += publish(settings, settings.kafka.topics.events, 30)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 60, deadline_s=30, what="the good ones")
        letters = dead_letters(settings, len(bad))
    check_exactly_once(ids, receiver.delivered)
    assert {letter.code: letter.value for letter in letters} == bad
    assert {letter.key for letter in letters} == {b"k"}
    assert {letter.stage for letter in letters} == {"forwarder.soc"}
    assert all(dict(letter.extra)["destination"] == "soc" for letter in letters)
    assert sum(committed(settings, "soc").values()) == 65


def test_one_refused_event_is_a_dead_letter_with_the_answer_and_no_secret(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 40)
        poison = event(40, account={"id": "account-3"})
        publish_values(settings, enriched, [(b"account-3", orjson.dumps(poison))])
        ids += publish(settings, enriched, 40, first=50)

        def refuse_poison(request: Request) -> Reply:
            if poison["id"] in {e["id"] for e in request.events}:
                return Reply(422, body=b"no " + SECRET.encode() + b" " + b"x" * 5000)
            return Reply()

        receiver.behaviour = refuse_poison
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 80, deadline_s=40, what="the good ones")
            (letter,) = dead_letters(settings, 1)
        assert letter.value == orjson.dumps(poison)
        assert letter.code == "http_422"
        answer = dict(letter.extra)["response"]
        assert answer.startswith("no whsec_[secret] xxx")
        assert len(answer) <= 1000
        check_exactly_once([*ids, poison["id"]], receiver.delivered, [poison["id"]])


def test_a_batch_that_is_too_large_is_halved(kafka: Kafka, unique_prefix: str) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 60)
        huge = event(7, description="x" * 9000)
        publish_values(settings, enriched, [(b"account-7", orjson.dumps(huge))])
        receiver.behaviour = lambda r: Reply(413 if len(r.body) > 4000 else 200)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 60, deadline_s=40, what="the small ones")
            (letter,) = dead_letters(settings, 1)
        assert letter.code == "http_413"
        check_exactly_once([*ids, huge["id"]], receiver.delivered, [huge["id"]])


def test_a_wrong_secret_is_an_alarm_and_no_dead_letter(kafka: Kafka, unique_prefix: str) -> None:
    """Receivers answer 400 to a bad signature: that must not be taken for poison."""
    with receiving(secret=OTHER_SECRET) as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, wrong=webhook(receiver)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 20)
        with forwarding(settings):
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="wrong", code="http_400") == 1,
                deadline_s=30,
                what="the alarm",
            )
            assert committed(settings, "wrong") == {}
            receiver.secret = SECRET  # mended on the receiver's side
            wait_until(lambda: len(receiver.delivered) == 20, deadline_s=30, what="all delivered")
        assert not dead_letters(settings, 1, deadline_s=1)
        check_exactly_once(ids, receiver.delivered)
        assert _metric("audit_sink_alarm", sink="wrong", code="http_400") == 0
        assert _metric("audit_circuit_state", sink="wrong") == 0


def test_readiness_names_the_destination_that_is_down(kafka: Kafka, unique_prefix: str) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        port = free_port()
        forwarder = settings.forwarder.model_copy(update={"health_port": port})
        settings = settings.model_copy(update={"forwarder": forwarder})
        receiver.behaviour = lambda _: Reply(500)
        publish(settings, settings.kafka.topics.enriched, 5)
        url = f"http://127.0.0.1:{port}/readyz"

        def ready() -> tuple[int, str]:
            try:
                answer = urllib3.request("GET", url, retries=False)
            except urllib3.exceptions.HTTPError:
                return 0, "not listening yet"
            return answer.status, answer.data.decode()

        with forwarding(settings):
            wait_until(
                lambda: ready() == (503, "soc: http_500: HTTP 500\n"), deadline_s=20, what="503"
            )
            receiver.behaviour = lambda _: Reply()
            wait_until(lambda: ready() == (200, "ok\n"), deadline_s=20, what="ready")


def _metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def _client(url: str, **fields: object) -> WebhookClient:
    table = {"type": "webhook", "url": url, "secret_env": "S", "timeout_s": 2.0, **fields}
    (destination,) = load_destinations({"soc": table}, {"S": SECRET, "OLD": OTHER_SECRET})
    assert isinstance(destination.settings, WebhookSettings)
    return WebhookClient(destination.settings)


_PARCEL = Parcel("audit_0_1_2_abc", [b'{"id":"1"}', b'{"id":"2"}'], 1_700_000_000_123)


def test_both_secrets_verify_during_a_rotation() -> None:
    for secret in (SECRET, OTHER_SECRET):
        with receiving(secret=secret) as receiver:
            client = _client(receiver.url, previous_secret_env="OLD", allow_private_targets=True)
            assert client.deliver(_PARCEL) == Delivered()
            client.close()
            assert receiver.taken[0].envelope["timestamp"] == "2023-11-14T22:13:20.123Z"
            assert receiver.taken[0].id == _PARCEL.id


def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    with receiving() as elsewhere, receiving() as receiver:
        receiver.behaviour = lambda _: Reply(307, {"Location": elsewhere.url})
        client = _client(receiver.url, allow_private_targets=True)
        assert client.deliver(_PARCEL) == Failed("http_307", "HTTP 307")
        client.close()
        assert not elsewhere.requests


def test_a_name_that_leads_inside_is_refused_when_connecting() -> None:
    """Contract with urllib3: it connects through the guard."""
    with receiving() as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        client = _client(f"https://localhost:{port}")
        outcome = client.deliver(_PARCEL)
        client.close()
        assert isinstance(outcome, Blocked)
        assert outcome.code == "target_refused"
        assert not receiver.requests


def test_the_address_that_was_judged_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: a second answer of the name server must not matter, as nobody asks for it."""
    import socket

    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *args: object, **options: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if host == "hook.example" else host, *args, **options)

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hook.example")
        client = _client(url, allow_private_targets=True)
        assert client.deliver(_PARCEL) == Delivered()
        client.close()
    assert asked.count("hook.example") == 1


def _certificate(directory: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_tls_is_verified_against_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    certificate, context = _certificate(tmp_path, "localhost")
    with receiving(tls=context) as receiver:
        by_name = receiver.url.replace("127.0.0.1", "localhost")
        for url, ca_file, expected in [
            (by_name, str(certificate), None),
            (by_name, None, "certificate"),
            (receiver.url, str(certificate), "certificate"),  # not in the certificate
        ]:
            client = _client(url, ca_file=ca_file, allow_private_targets=True)
            outcome = client.deliver(_PARCEL)
            client.close()
            assert (outcome.code if isinstance(outcome, Blocked) else None) == expected, outcome
        assert len(receiver.taken) == 1


def test_a_long_answer_is_not_read_to_its_end_and_the_next_request_works() -> None:
    with receiving() as receiver:
        receiver.behaviour = lambda _: Reply(200, body=b"x" * 3_000_000)
        client = _client(receiver.url, allow_private_targets=True)
        assert client.deliver(_PARCEL) == Delivered()
        assert client.deliver(_PARCEL) == Delivered()
        client.close()


def test_an_answer_in_drops_is_cut_short_and_counts() -> None:
    with receiving() as receiver:
        receiver.behaviour = lambda _: Reply(200, body=b"x" * 60, drip_s=0.1)
        client = _client(receiver.url, allow_private_targets=True, timeout_s=0.5)
        started = time.monotonic()
        assert client.deliver(_PARCEL) == Delivered()
        assert time.monotonic() - started < 2
        client.close()


def test_connections_are_kept() -> None:
    with receiving() as receiver:
        client = _client(receiver.url, allow_private_targets=True)
        for _ in range(5):
            assert client.deliver(_PARCEL) == Delivered()
        client.close()
        assert receiver.connections == 1


def test_nobody_there_is_a_failure() -> None:
    with receiving() as receiver:
        url = receiver.url
    client = _client(url, allow_private_targets=True)
    assert client.deliver(_PARCEL) == Failed("connection", "no connection")
    client.close()
