"""`destinations list|test|pause|resume` and changed settings, on real Kafka with forwarders."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from auditbus.deploy.local.ports import free_port
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import KafkaSettings, Settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.sinks.siem.control import ControlWriter, Status, read_control, status_key
from auditbus.sinks.siem.standing import State
from auditbus.sinks.siem.tally import Counts
from tests.backends.parts import Kafka
from tests.destination_commands import Line
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    forwarder_process,
    forwarder_settings,
    forwarding,
    publish,
    webhook,
    with_destinations,
)
from tests.pipeline import wait_until
from tests.webhook_receiver import SECRET, Receiver, Reply, receiving

OTHER_SECRET = "whsec_" + "QUJD" * 11


def test_a_listing_says_what_was_sent_with_and_without_a_forwarder(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=webhook(receiver, batch_events=20),
            dead=webhook("http://127.0.0.1:9/"),
        )
        line = Line(settings, tmp_path)
        topic = settings.kafka.topics.enriched
        publish(settings, topic, 100)
        before = line.listed()
        assert before["soc"]["state"] == "never started"
        assert (before["soc"]["lag"], before["soc"]["status_at"]) == (100, None)
        with forwarding(settings):
            shown = line.wait("soc", acknowledged=100, lag=0)
            assert shown["state"] == "delivering"
            assert (shown["sent"], shown["retried"], shown["refused"]) == (100, 0, 0)
            assert shown["last_success_at"] is not None
            assert (shown["processes"], shown["configured"]) == (1, True)
            shown = line.wait("dead", state="retrying", lag=100)
            assert shown["last_error"]["code"] == "connection"
            assert shown["sent"] == shown["retried"] > 0
        publish(settings, topic, 7, first=100)
        after = line.listed()
        assert (after["soc"]["state"], after["soc"]["lag"]) == ("stopped", 7)
        assert after["soc"]["acknowledged"] == 100
        table = line.run("list")
        assert "Last error" in table.stdout
        assert "connection" in table.stdout
        for value in read_control(settings.kafka).values():
            assert b"MfKQ9" not in value


def test_a_paused_destination_gets_nothing_also_after_a_restart_until_it_is_resumed(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver, receiving() as other:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=webhook(receiver),
            other=webhook(other),
        )
        line = Line(settings, tmp_path)
        topic = settings.kafka.topics.enriched
        forwarders = [forwarder_process(settings, tmp_path, name) for name in ("one", "two")]
        ids = publish(settings, topic, 50)
        for forwarder in forwarders:
            forwarder.start()
        try:
            line.wait("soc", lag=0, processes=2)
            paused = line.run("pause", "soc")
            assert (paused.exit_code, paused.stdout) == (0, "soc: paused\n")
            assert paused.stderr == "running forwarders that heed it: 2\n"
            ids += publish(settings, topic, 50, first=50)
            wait_until(lambda: len(other.delivered) == 100, deadline_s=30, what="the other")
            assert line.wait("soc", state="paused", lag=50)["acknowledged"] == 50
            for forwarder in forwarders:
                forwarder.stop(10)
            forwarders[0].start()
            ids += publish(settings, topic, 20, first=100)
            wait_until(lambda: len(other.delivered) == 120, deadline_s=30, what="the other")
            assert len(receiver.delivered) == 50
            resumed = line.run("resume", "soc")
            assert resumed.stderr == "running forwarders that heed it: 1\n"
            wait_until(lambda: len(receiver.delivered) == 120, deadline_s=30, what="all")
            assert line.wait("soc", lag=0)["state"] == "delivering"
        finally:
            for forwarder in forwarders:
                forwarder.stop(10)
        check_nothing_lost(ids, receiver.delivered)
        for number in range(0, 50, 7):
            assert receiver.order(f"account-{number}") == list(range(number, 120, 50))


def test_a_closed_endpoint_is_blocked_until_it_is_resumed(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        line = Line(settings, tmp_path)
        receiver.behaviour = lambda _: Reply(410)
        ids = publish(settings, settings.kafka.topics.enriched, 30)
        with forwarding(settings):
            shown = line.wait("soc", state="blocked")
            assert shown["last_error"]["code"] == "http_410"
            assert "closed this endpoint" in shown["trouble"]
            receiver.behaviour = lambda _: Reply()
            asked = len(receiver.requests)
            assert line.run("resume", "soc").exit_code == 0
            wait_until(lambda: len(receiver.delivered) == 30, deadline_s=20, what="all delivered")
            assert len(receiver.requests) > asked
            line.wait("soc", state="delivering", trouble=None, lag=0)
        check_exactly_once(ids, receiver.delivered)


@pytest.mark.parametrize("command", ["pause", "resume", "test"])
def test_a_misspelt_name_is_refused(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, command: str
) -> None:
    settings = forwarder_settings(
        kafka.bootstrap_servers, unique_prefix, soc=webhook("http://127.0.0.1:9/")
    )
    result = Line(settings, tmp_path).run(command, "sock")
    assert result.exit_code == 2
    assert "no destination sock" in result.stderr
    assert "soc" in result.stderr


def test_a_control_topic_that_is_only_being_made_is_waited_for(
    kafka: Kafka, unique_prefix: str
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=unique_prefix)
    making = threading.Timer(0.5, lambda: create_topics(new_admin(settings), specs_for(settings)))
    making.start()
    try:
        assert read_control(settings) == {}
    finally:
        making.join()


def test_a_test_event_is_marked_redacted_and_judged_by_the_answer(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=webhook(receiver, timeout_s=2.0),
            gone=webhook("http://127.0.0.1:9/"),
        )
        line = Line(settings, tmp_path)
        taken = line.run("test", "soc")
        assert taken.exit_code == 0, taken.stderr
        assert taken.stdout.startswith("soc: delivered in ")
        ((event,),) = [request.events for request in receiver.taken]
        assert event["action"] == "AuditbusDestinationTested"
        assert event["metadata"] == {"auditbus_test": True}
        receiver.behaviour = lambda _: Reply(401, body=f"not {SECRET}".encode())
        refused = line.run("test", "soc")
        assert refused.exit_code == 1
        assert "http_401" in refused.stdout
        receiver.behaviour = lambda _: Reply(400, body=f"not {SECRET} \x1b[2J".encode())
        refused = line.run("test", "soc")
        assert (refused.exit_code, "refused" in refused.stdout) == (1, True)
        assert "MfKQ9" not in refused.stdout + refused.stderr
        assert "\x1b" not in refused.stdout
        receiver.behaviour = lambda _: Reply(503)
        assert line.run("test", "soc").exit_code == 3
        assert line.run("test", "gone").exit_code == 3
        line.environment["HOOK_SECRET"] = ""
        wrong = line.run("test", "soc")
        assert wrong.exit_code == 2
        assert "forwarder.destinations.soc.secret_env" in wrong.stderr
        assert committed(settings, "soc") == {}


def _changed(line: Line, settings: Settings, **destinations: Any) -> None:
    line.configure(with_destinations(settings, **destinations))


def test_changed_settings_are_taken_up_and_no_place_is_lost(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    """One is changed, one removed and brought back, one added; the untouched goes on."""
    with receiving() as soc, receiving() as kept, receiving() as late:
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        by_file = {"secret_env": None, "secret_file": str(secret)}

        def table(receiver: Receiver, **fields: Any) -> dict[str, Any]:
            made = webhook(receiver, **{**by_file, **fields})
            return {key: value for key, value in made.items() if value is not None}

        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=table(soc), kept=table(kept)
        )
        line = Line(settings, tmp_path)
        topic = settings.kafka.topics.enriched
        forwarder = forwarder_process(settings, tmp_path, "auditbus")
        assert (tmp_path / "auditbus.toml").exists()
        ids = publish(settings, topic, 200)
        forwarder.start()
        try:
            wait_until(lambda: len(soc.delivered) == 200, deadline_s=30, what="first ones")
            # A wrong file: named, refused whole; what ran goes on.
            good = line.config.read_text()
            line.config.write_text(good.replace("linger_ms = 20", "linger_ms = -1"))
            log = tmp_path / "auditbus.log"
            wait_until(lambda: "settings_refused" in log.read_text(), deadline_s=20, what="refusal")
            assert "forwarder.destinations.soc.linger_ms" in log.read_text()
            ids += publish(settings, topic, 100, first=200)
            wait_until(lambda: len(soc.delivered) == 300, deadline_s=30, what="the old set goes on")
            # soc goes, late comes; it begins at the oldest event.
            _changed(line, settings, kept=table(kept), late=table(late))
            wait_until(lambda: len(late.delivered) == 300, deadline_s=30, what="one added")
            wait_until(lambda: "soc" not in line.listed(), deadline_s=20, what="one removed")
            ids += publish(settings, topic, 100, first=300)
            wait_until(lambda: len(late.delivered) == 400, deadline_s=30, what="without soc")
            assert len(soc.delivered) == 300
            # soc is back, in other batches, under another secret, taken up on SIGHUP.
            soc.secret = OTHER_SECRET
            own = tmp_path / "other"
            own.write_text(OTHER_SECRET)
            _changed(
                line,
                settings,
                kept=table(kept),
                late=table(late),
                soc=table(soc, batch_events=10, secret_file=str(own)),
            )
            os.kill(forwarder.pid, signal.SIGHUP)
            wait_until(lambda: len(soc.delivered) == 400, deadline_s=30, what="the one back")
            # A secret file that changes is taken up as well.
            late.secret = OTHER_SECRET
            ids += publish(settings, topic, 50, first=400)
            line.wait("late", state="blocked")  # it refuses the probe, too: a person must act
            kept.secret = OTHER_SECRET
            secret.write_text(OTHER_SECRET)
            for receiver in (soc, kept, late):
                wait_until(lambda r=receiver: len(r.delivered) == 450, deadline_s=40, what="all")
        finally:
            forwarder.stop(10)
        for receiver in (soc, kept, late):
            check_nothing_lost(ids, receiver.delivered)
            for number in range(0, 50, 7):
                assert receiver.order(f"account-{number}") == list(range(number, 450, 50))


def test_a_record_that_is_none_disturbs_nobody(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        producer = new_producer(settings.kafka)
        control = settings.kafka.topics.forwarder_control
        for key, value in (
            (b"status/soc/x", b"{nonsense"),
            (b"pause/soc", b"[]"),
            (b"\xff", b"\xff"),
            (None, b"x"),
            (b"pause/", None),
            (b"new/soc", b"{}"),
        ):
            producer.produce(control, value, key or b"")
        assert producer.flush(10) == 0
        ids = publish(settings, settings.kafka.topics.enriched, 20)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 20, deadline_s=30, what="all delivered")
            Line(settings, tmp_path).wait("soc", lag=0, state="delivering")
        check_exactly_once(ids, receiver.delivered)


def test_without_the_control_topic_events_are_delivered_and_the_trouble_is_named(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        topic = settings.kafka.topics.forwarder_control
        admin = new_admin(settings.kafka)  # held: its answers end with it
        admin.delete_topics([topic])[topic].result(10)
        port = free_port()
        health = settings.forwarder.model_copy(update={"health_port": port})
        settings = settings.model_copy(update={"forwarder": health})
        ids = publish(settings, settings.kafka.topics.enriched, 20)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 20, deadline_s=40, what="all delivered")
            answer = urllib3.request("GET", f"http://127.0.0.1:{port}/readyz")
            assert answer.status == 503
            assert b"auditbus topics create" in answer.data
        check_exactly_once(ids, receiver.delivered)
        assert topic not in admin.list_topics(timeout=10).topics  # not made in passing
        listed = Line(settings, tmp_path).run("list")
        assert listed.exit_code == 1
        assert "auditbus topics create" in listed.stderr


def test_what_a_process_that_is_gone_left_behind_is_taken_back(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        writer = ControlWriter(
            new_producer(settings.kafka), settings.kafka.topics.forwarder_control
        )
        now_ms = time.time_ns() // 1_000_000
        for instance, state, age_ms in (
            ("stopped:1", State.STOPPED, 0),
            ("killed:1", State.DELIVERING, 700_000),
            ("alive:1", State.RETRYING, 0),
        ):
            status = Status(
                destination="soc",
                instance=instance,
                kind="webhook",
                topic="enriched",
                state=state,
                trouble=None,
                since_ms=now_ms,
                at_ms=now_ms - age_ms,
                last_success_ms=None,
                last_error=None,
                counts=Counts(sent=1),
                positions={},
            )
            writer.put_now(status_key("soc", instance), status)
        line = Line(settings, tmp_path)
        assert line.listed()["soc"]["sent"] == 3
        with forwarding(settings):
            shown = line.wait("soc", sent=1, processes=2)
            assert shown["state"] == "retrying"
