"""What destinations over HTTP share: TLS both ways, cookies, gzip, statuses."""

import gzip
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditbus.sinks.siem.destination import Client, Parcel
from auditbus.sinks.siem.destinations.http import compress
from auditbus.sinks.siem.http_client import CookieJar
from auditbus.sinks.siem.outcomes import Accepted, Blocked, Delivered, Failed, Rejected
from auditbus.sinks.siem.registry import load_destinations
from tests.receivers.otlp import TOKEN, Otlp
from tests.receivers.server import Call, Reply, serving
from tests.receivers.splunk import TOKEN as HEC_TOKEN

_NOTHING = Parcel("p", [b""], 0)


def _connect(kind: str, url: str, **fields: Any) -> Client:
    table = {"type": kind, "url": url, "token_env": "T", "allow_private_targets": True, **fields}
    token = {"otlp": TOKEN, "splunk": HEC_TOKEN}[kind]
    (found,) = load_destinations({"d": table}, {"T": token})
    return found.kind.connect(found.settings)


def _certificate(directory: Path, name: str) -> tuple[Path, Path]:
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
    return certificate, key


def test_a_client_certificate_is_shown_where_one_is_asked_for(tmp_path: Path) -> None:
    server, server_key = _certificate(tmp_path, "localhost")
    ours, our_key = _certificate(tmp_path, "forwarder")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server, server_key)
    context.load_verify_locations(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    both = tmp_path / "both.pem"
    both.write_bytes(ours.read_bytes() + our_key.read_bytes())
    with serving(Otlp().answer, tls=context) as url:
        named = url.replace("127.0.0.1", "localhost")
        for fields, expected in [
            ({"client_certificate_file": str(ours), "client_key_file": str(our_key)}, Delivered),
            ({"client_certificate_file": str(both)}, Delivered),
            ({}, Failed),  # the server ends the handshake
        ]:
            client = _connect("otlp", named, ca_file=str(server), **fields)
            outcome = client.probe()
            client.close()
            assert isinstance(outcome, expected), outcome
        client = _connect("otlp", named, client_certificate_file=str(both))
        outcome = client.probe()  # without its authority
        client.close()
        assert isinstance(outcome, Blocked)
        assert outcome.code == "certificate"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, b'{"code":0}'), Blocked("ack_missing", "")),
        (Reply(200, b'{"code":0,"ackId":3}'), Accepted),
        (Reply(400, b'{"code":6,"invalid-event-number":0}'), Delivered),
        (Reply(400, b'{"code":6,"invalid-event-number":1}'), Rejected("hec_6", "")),
        (Reply(400, b'{"code":6}'), Rejected("hec_6", "")),
        (Reply(400, b'{"code":7}'), Blocked("hec_7", "")),
        (Reply(400, b'{"code":10}'), Blocked("hec_10", "")),
        (Reply(400, b"<html>"), Rejected("http_400", "")),
        (Reply(403, b'{"code":4}'), Blocked("http_403", "")),
        (Reply(413), Rejected("http_413", "")),
        (Reply(429, b'{"code":26}', {"Retry-After": "9"}), Failed("http_429", "")),
        (Reply(500, b'{"code":8}'), Failed("http_500", "")),
        (Reply(503, b'{"code":9}'), Failed("http_503", "")),
    ],
)
def test_what_splunk_answers_means(reply: Reply, expected: Any) -> None:
    def answer(call: Call) -> Reply:
        return Reply(200, b'{"acks":{}}') if call.path.endswith("/ack") else reply

    with serving(answer) as url:
        client = _connect("splunk", url)
        outcome: Any = client.deliver(_NOTHING)
        client.close()
    if isinstance(expected, type):
        assert isinstance(outcome, expected), outcome
        return
    assert type(outcome) is type(expected), outcome
    assert outcome.code == expected.code
    if reply.status == 429:
        assert outcome.retry_after_s == 9.0
        assert outcome.throttled


def test_gzip_is_the_same_for_the_same_body() -> None:
    body = b"event" * 1000
    assert compress(body) == compress(body)
    assert gzip.decompress(compress(body)) == body
    assert len(compress(body)) < 200


def test_cookies_are_sent_back_as_they_came() -> None:
    jar = CookieJar()
    assert jar.header == ""
    jar.take("AWSALB=a/b+c==; Expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/; Secure")
    jar.take('route="quoted value"; HttpOnly')
    assert jar.header == 'AWSALB=a/b+c==; route="quoted value"'
    jar.take("route=; Max-Age=0")
    jar.take("\x00 nonsense ;;")
    assert jar.header == "AWSALB=a/b+c=="
