"""A type's first use by many threads at once, each time in a fresh process."""

import subprocess
import sys

import pytest

_MANY_AT_ONCE = """
import sys, threading
{setup}
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
used = []
def use():
    together.wait()
    used.append({use})
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(used) == 8 and all(used), used
"""
_STRICT = """
from auditbus.schemas.ids import uuid7
from auditbus.schemas.validation import strict_view
event = {
    "id": uuid7(), "schema_version": 1, "occurred_at": "2026-11-25T10:00:00.000Z",
    "action": "Login", "account": {"id": "acme"}, "actor": {"type": "user", "id": "u-1"},
    "targets": [{"type": "storage", "id": "s-1"}], "context": {"ip": "203.0.113.9"},
}
"""
_ANY = _STRICT.replace("import strict_view", "import validate_fields")
_VIEWED = (
    _STRICT
    + """
import orjson
from auditbus.sinks.siem.encodings.event import Event
from auditbus.sinks.siem.encodings.view import read_view
"""
)


@pytest.mark.parametrize(
    ("setup", "use"),
    [
        (_STRICT, "strict_view(dict(event), 500, broker_time_ms=1795600000000, is_new=True)"),
        (_ANY, "validate_fields(dict(event), 500)"),
        (_VIEWED, "read_view(Event(orjson.dumps(event), dict(event), -1))"),
    ],
    ids=["what a producer emits", "what a stream reads", "what a destination encodes"],
)
def test_threads_may_be_the_first_at_once(setup: str, use: str) -> None:
    """Where the types are not worked out beforehand, some of these processes crash."""
    for _ in range(16):
        done = subprocess.run(
            [sys.executable, "-c", _MANY_AT_ONCE.format(setup=setup, use=use)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
