"""How fast an existing audit source is imported: from a file to acknowledged by a real broker."""

import gzip
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from auditbus.console.sources import FORMATS, Chunks, split_records
from auditbus.console.sources.pool import usable_processors
from auditbus.console.sources.preparing import Preparation
from auditbus.console.sources.publishing import Publisher
from auditbus.console.sources.records import parsed
from auditbus.producers import AuditProducer, InvalidEvent, Redactor
from auditbus.producers.assembly import EventAssembler
from auditbus.schemas import Catalogue
from bench.broker import create_topic, kafka
from bench.report import Measured

_TOPIC = "bench.imported"
_RECORDS = int(os.environ.get("AUDITBUS_BENCH_IMPORT_RECORDS", "150000"))
_ROUNDS = int(os.environ.get("AUDITBUS_BENCH_IMPORT_ROUNDS", "3"))
_SESSIONS = 500
_STEP_RECORDS = 5_000
_SOURCE = FORMATS["cloudtrail"]
_NOTES = (
    (
        f"*_records_per_s: {_RECORDS:,} CloudTrail-like records from one file to acknowledged by a "
        f"real Kafka beside it; median of {_ROUNDS} rounds. The workers' start is in it."
    ),
    'ndjson_gz: one record a line, gzip; array: one {"Records": [...]} on one line, not packed.',
    "one_account: all records of one AWS account, so one partition; else 50 accounts.",
    (
        f"The workers are {usable_processors()}, one for each processor; *_one_process_*: none, "
        "all in the reading process. A worker takes over after the first 4,000 records."
    ),
    "*_us: one step of it for one record, alone, the best of several runs; assemble_*: with map.",
    (
        "prepare: what a worker does, from a record's text to the event's bytes; "
        "prepare_as_a_service: likewise, as emit() does it: secrets looked for text by text."
    ),
    (
        "What bounds it: the processors. The reading process splits, publishes and takes the "
        "acknowledgements; the workers prepare; librdkafka's threads and the broker share the rest."
    ),
)


def run() -> Measured:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as directory:
        files = _write_files(Path(directory))
        with kafka() as servers:
            create_topic(servers, _TOPIC)
            rounds = [
                {
                    f"{name}{suffix}_records_per_s": _imported_per_s(servers, file, processes)
                    for name, file in files.items()
                    for suffix, processes in (("", usable_processors()), ("_one_process", 1))
                }
                for _ in range(_ROUNDS)
            ]
            rates = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    lines = [orjson.dumps(record) for record in _records(_STEP_RECORDS)]
    return Measured(
        question="How many records of an existing audit source are imported in a second?",
        figures={
            **rates,
            "record_bytes": len(lines[0]),
            "event_bytes": len(orjson.dumps(_mapped(lines[0]))),
            **_steps(lines),
        },
        demands={
            "ndjson_gz_records_per_s": "at least 30,000",
            "array_records_per_s": "at least 30,000",
        },
        notes=_NOTES,
    )


def _write_files(directory: Path) -> dict[str, Path]:
    lines = [orjson.dumps(record) for record in _records(_RECORDS)]
    same = [orjson.dumps(record) for record in _records(_RECORDS, accounts=1)]
    files = {name: directory / name for name in ("ndjson_gz", "array", "ndjson_gz_one_account")}
    with gzip.open(files["ndjson_gz"], "wb", compresslevel=6) as file:
        file.write(b"\n".join(lines))
    files["array"].write_bytes(b'{"Records":[' + b",".join(lines) + b"]}")
    with gzip.open(files["ndjson_gz_one_account"], "wb", compresslevel=6) as file:
        file.write(b"\n".join(same))
    return files


def _imported_per_s(servers: str, path: Path, processes: int) -> float:
    """Do what `auditbus emit --format cloudtrail` does, without its start."""
    failures: list[str] = []
    start_s = time.perf_counter()
    with AuditProducer(servers, topic=_TOPIC) as producer, path.open("rb") as file:
        publisher = Publisher(
            producer, Preparation(_SOURCE.name), failures.append, processes=processes
        )
        for found in split_records(Chunks(file), _SOURCE.envelope):
            publisher.publish("", found)
        publisher.flush()
        publisher.close()
        publisher.finish(timeout_s=60)
    took_s = time.perf_counter() - start_s
    if publisher.tally.published != _RECORDS or failures:
        raise RuntimeError(f"{publisher.tally.published:,} published; {failures[:3]}")
    return _RECORDS / took_s


def _steps(lines: list[bytes]) -> dict[str, float]:
    text = b"\n".join(lines)
    array = b'{"Records":[' + b",".join(lines) + b"]}"
    records = [orjson.loads(line) for line in lines]
    redactor = _SOURCE.redactor()
    assemble = EventAssembler("system", Catalogue.builtin(), redactor, from_json=True)
    as_service = EventAssembler("system", Catalogue.builtin(), redactor)
    plain = EventAssembler("system", Catalogue.builtin(), Redactor.off(), from_json=True)
    prepare = Preparation(_SOURCE.name).begin()
    return {
        "split_and_parse_lines_us": _best_us(lambda: _split(text), len(lines)),
        "split_and_parse_array_us": _best_us(lambda: _split(array), len(lines)),
        "prepare_us": _best_us(lambda: [prepare(line) for line in lines], len(lines)),
        "prepare_as_a_service_us": _best_us(
            lambda: [as_service(_mapped(line)) for line in lines], len(lines)
        ),
        "map_us": _best_us(
            lambda: [_SOURCE.map_record(record, None) for record in records], len(lines)
        ),
        "assemble_us": _best_us(
            lambda: [assemble({**_SOURCE.map_record(record, None)}) for record in records],
            len(lines),
        ),
        "assemble_without_redaction_us": _best_us(
            lambda: [plain({**_SOURCE.map_record(record, None)}) for record in records],
            len(lines),
        ),
    }


def _split(text: bytes) -> None:
    for _ in split_records(Chunks(io.BytesIO(text)), _SOURCE.envelope):
        pass


def _best_us(step: Any, count: int) -> float:
    took_s = []
    for _ in range(7):
        start_s = time.perf_counter()
        step()
        took_s.append(time.perf_counter() - start_s)
    return min(took_s) / count * 1e6


def _mapped(line: bytes) -> dict[str, Any]:
    record = parsed(line)
    if isinstance(record, InvalidEvent):
        raise record
    return _SOURCE.map_record(record, None)


def _records(count: int, accounts: int = 50) -> Iterator[dict[str, Any]]:
    """Make records in CloudTrail's shape: S3 data events of a role's sessions."""
    now_s = int(time.time())
    for number in range(count):
        session = number % _SESSIONS
        account = f"{111122220000 + session % accounts}"
        who, key = f"person{session}@example.com", f"daily/{number}/dump.tar.zst"
        role = f"arn:aws:iam::{account}:role/Deployer"
        yield {
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "AssumedRole",
                "principalId": f"AROAEXAMPLEEXAMPLE:{who}",
                "arn": f"arn:aws:sts::{account}:assumed-role/Deployer/{who}",
                "accountId": account,
                "accessKeyId": f"ASIAEXAMPLE{session:09d}",  # as long as AWS's own
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role",
                        "principalId": "AROAEXAMPLEEXAMPLE",
                        "arn": role,
                        "accountId": account,
                        "userName": "Deployer",
                    },
                    "attributes": {
                        "creationDate": "2026-11-20T09:00:00Z",
                        "mfaAuthenticated": "false",
                    },
                },
            },
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s - number // 50)),
            "eventSource": "s3.amazonaws.com",
            "eventName": ("PutObject", "GetObject", "DeleteObject")[number % 3],
            "awsRegion": "eu-central-1",
            "sourceIPAddress": f"203.0.113.{number % 250}",
            "userAgent": "[aws-sdk-go/1.55.5 (go1.23; linux; amd64)]",
            "requestParameters": {
                "bucketName": "backups-eu",
                "Host": "backups-eu.s3.amazonaws.com",
                "key": key,
            },
            "responseElements": None,
            "additionalEventData": {
                "SignatureVersion": "SigV4",
                "CipherSuite": "TLS_AES_128_GCM_SHA256",
                "bytesTransferredIn": number,
                "AuthenticationMethod": "AuthHeader",
            },
            "requestID": f"REQ{number:013d}",
            "eventID": f"{number:08x}-1111-4222-8333-{number:012x}",
            "readOnly": False,
            "resources": [
                {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::backups-eu/{key}"},
                {
                    "accountId": account,
                    "type": "AWS::S3::Bucket",
                    "ARN": "arn:aws:s3:::backups-eu",
                },
            ],
            "eventType": "AwsApiCall",
            "managementEvent": False,
            "recipientAccountId": account,
            "eventCategory": "Data",
        }
