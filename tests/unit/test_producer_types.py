"""The SDK's types, as a service sees them that has its own code checked strictly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT

_SERVICE = """
import logging

from litestar import Litestar
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware

from auditbus.producers import AuditProducer, Delivery, Recording, recorded
from auditbus.producers.asgi import AuditMiddleware
from auditbus.producers.logging_handler import AuditHandler
from auditbus.producers.testing import RecordingProducer

audit = AuditProducer("127.0.0.1:9092", delivery={"StorageDeleted": "fail_closed"})
double = RecordingProducer(delivery={"StorageDeleted": "fail_closed"})


@recorded(audit, "StorageDeleted", targets=lambda call: [{"id": call["storage_id"]}])
def delete(storage_id: str) -> int:
    return 1


@recorded(lambda: audit, "StorageDeleted")
async def delete_later(storage_id: str) -> int:
    async with Recording(audit, action="BackupCompleted") as event:
        event.targets = [{"id": storage_id}]
    return 1


@recorded(double, "StorageDeleted")
def tested() -> None: ...


async def main() -> None:
    now: int = delete("s-1")
    later: int = await delete_later("s-1")
    taken: Delivery = await audit.emit_async(action="Login", delivery="acknowledged")


logging.getLogger().addHandler(AuditHandler(audit))
logging.getLogger().addHandler(AuditHandler(double))
litestar = Litestar([], middleware=[DefineMiddleware(AuditMiddleware, trusted_proxies=["unix"])])
starlette = Starlette(middleware=[Middleware(AuditMiddleware, trusted_proxies=["unix"])])
wrapped = [AuditMiddleware(litestar), AuditMiddleware(starlette)]

delete(7)
"""


def test_a_service_checked_strictly_may_use_the_sdk_and_is_told_of_its_own_faults(
    tmp_path: Path,
) -> None:
    service = tmp_path / "service.py"
    service.write_text(_SERVICE)
    words = ["--strict", "--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache")]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *words, str(service)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1, checked.stderr
    (fault,) = checked.stdout.splitlines()
    line = _SERVICE.splitlines().index("delete(7)") + 1
    # Not the whole path: mypy's cache may know this text from a run before.
    assert f"service.py:{line}: error: Argument 1" in fault
