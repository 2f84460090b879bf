"""The counting webhook receiver, over real HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from auditbus.deploy.local.demo.receiver import Counter, Counts, ReceiverServer, _progress, main
from auditbus.schemas.ids import uuid7

SECRET = "whsec_" + b64encode(b"a secret of the test" * 2).decode()


@pytest.fixture
def receiver() -> Iterator[ReceiverServer]:
    with ReceiverServer(0, Counter(SECRET, remembered_ids=100)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def delivery(
    ids: list[str], secret: str = SECRET, age_s: float = 0
) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"type": "audit.events", "data": [{"id": id_} for id_ in ids]})
    now = datetime.now(UTC) - timedelta(seconds=age_s)
    return body.encode(), {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }


def request(
    server: ReceiverServer, method: str, path: str, body: bytes | None = None, headers: Any = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def counts(server: ReceiverServer) -> dict[str, Any]:
    status, body = request(server, "GET", "/count")
    assert status == 200
    return body


def test_distinct_events_and_repeats_are_counted(receiver: ReceiverServer) -> None:
    first, second, third = (uuid7() for _ in range(3))
    assert request(receiver, "POST", "/", *delivery([first, second]))[0] == 200
    assert request(receiver, "POST", "/", *delivery([second, third, third]))[0] == 200
    assert counts(receiver) == {"distinct": 3, "repeats": 2, "deliveries": 2, "refused": 0}


@pytest.mark.parametrize(
    "bad",
    [
        delivery([uuid7()], secret="whsec_" + b64encode(b"another secret").decode()),
        delivery([uuid7()], age_s=600),
        (delivery([uuid7()])[0], {}),
        (b"{}", delivery([uuid7()])[1]),
        (b"\xff\xfe", delivery([uuid7()])[1]),
        (delivery([uuid7()])[0], delivery([])[1] | {"webhook-signature": "v1"}),
    ],
    ids=["wrong secret", "too old", "unsigned", "other body", "no UTF-8", "no signature"],
)
def test_what_is_not_signed_is_refused(
    receiver: ReceiverServer, bad: tuple[bytes, dict[str, str]]
) -> None:
    assert request(receiver, "POST", "/", *bad)[0] == 401
    assert counts(receiver) == {"distinct": 0, "repeats": 0, "deliveries": 0, "refused": 1}


@pytest.mark.parametrize("body", ["[]", '{"data": 1}', '{"data": [{"id": 7}]}', '{"data": ["x"]}'])
def test_a_signed_body_without_events_is_refused(receiver: ReceiverServer, body: str) -> None:
    _, headers = delivery([])
    now = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    headers["webhook-signature"] = Webhook(SECRET).sign("msg_1", now, body)
    assert request(receiver, "POST", "/", body.encode(), headers)[0] == 401


def test_memory_is_bounded(receiver: ReceiverServer) -> None:
    ids = [uuid7() for _ in range(250)]
    for start in range(0, 250, 50):
        request(receiver, "POST", "/", *delivery(ids[start : start + 50]))
    assert len(receiver.counter._ids) == 100
    assert counts(receiver)["distinct"] == 250
    request(receiver, "POST", "/", *delivery(ids[-100:]))
    assert counts(receiver)["repeats"] == 100, "the newest are remembered"


def test_a_body_without_length_or_beyond_the_limit_is_not_read(receiver: ReceiverServer) -> None:
    assert request(receiver, "POST", "/", None, {"Transfer-Encoding": "chunked"})[0] == 411
    assert request(receiver, "POST", "/", None, {"Content-Length": str(10**12)})[0] == 413


def test_it_listens_on_loopback_only(receiver: ReceiverServer) -> None:
    assert receiver.server_address[0] == "127.0.0.1"
    assert request(receiver, "GET", "/")[0] == 404


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64: a"])
def test_a_bad_secret_is_wrong_usage(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_text(secret)
    assert main(["--secret-file", str(file)]) == 2
    assert "--secret-file" in capsys.readouterr().err


def test_the_process_says_where_it_listens_and_stops_on_sigterm(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    module = "auditbus.deploy.local.demo.receiver"
    command = [sys.executable, "-m", module, "--secret-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
            connection.request("GET", "/count")
            assert json.loads(connection.getresponse().read())["distinct"] == 0
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()


def test_progress_says_what_reached_the_webhook() -> None:
    line = _progress(Counts(distinct=1520, repeats=2, refused=0), "http://127.0.0.1:1")
    assert line == (
        "1,520 events pushed here by the forwarder, 2 repeated, 0 requests refused; "
        "see http://127.0.0.1:1/count"
    )
