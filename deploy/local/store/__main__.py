"""Run the store: `python -m auditbus.deploy.local.store --path DIR --port N`.

Prints one line of JSON on standard output once it accepts connections (`process.StoreAddress`).
Ends on SIGTERM or SIGINT: no new connections, what runs may finish within some seconds, then the
engine is closed. Exit codes: 0 stopped, 2 wrong usage or no password, 3 the directory or the port
is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from auditbus.deploy.local.store.access import Access
from auditbus.deploy.local.store.engine import Engine
from auditbus.deploy.local.store.errors import StoreInUse
from auditbus.deploy.local.store.process import StoreAddress
from auditbus.deploy.local.store.server import Server
from auditbus.runtime.errors import SettingsError
from auditbus.runtime.logging import configure_logging, get_logger
from auditbus.runtime.settings import load_settings

_log = get_logger("auditbus.deploy.local.store")
_LOOPBACK = "127.0.0.1"
# A supervisor gives ten seconds for everything. An insert takes a fraction of one; only readers are
# slow. First what is answered may end, then what no answer is wanted of any more.
_ANSWER_S = 1.5
_FINISH_S = 1.5


def main() -> int:
    """Run until a signal; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="auditbus.deploy.local.store", description="ClickHouse, embedded."
    )
    parser.add_argument(
        "--path", type=Path, required=True, help="the directory that holds the data"
    )
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
    except SettingsError as error:
        return _fail(2, str(error))
    configure_logging("store", settings.log)
    password = settings.clickhouse.password
    if password is None or not password.get_secret_value():
        return _fail(2, "set AUDITBUS_CLICKHOUSE_PASSWORD or AUDITBUS_CLICKHOUSE_PASSWORD_FILE")
    try:
        return asyncio.run(
            _serve(arguments.path, arguments.port, Access(password.get_secret_value()))
        )
    except (StoreInUse, OSError) as error:
        return _fail(3, str(error))


async def _serve(path: Path, port: int, access: Access) -> int:
    engine = Engine(path)
    server = Server(engine, access)
    runner = server.runner(shutdown_timeout_s=_ANSWER_S)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await runner.setup()
        await web.TCPSite(runner, _LOOPBACK, port).start()
        _announce(runner.addresses[0][1], engine)
        await stop.wait()
    finally:
        await runner.cleanup()
        await _finish(server, engine)
    return 0


def _announce(port: int, engine: Engine) -> None:
    address = StoreAddress(f"http://{_LOOPBACK}:{port}", engine.version)
    sys.stdout.buffer.write(address.announcement())
    sys.stdout.buffer.flush()
    _log.info("store_ready", url=address.url, engine_version=address.engine_version)


async def _finish(server: Server, engine: Engine) -> None:
    try:
        async with asyncio.timeout(_FINISH_S):
            await asyncio.to_thread(server.finish)
            await asyncio.to_thread(engine.close)
    except TimeoutError:
        # Something still reads, and chDB cannot be interrupted. What was acknowledged is stored,
        # and the engine opens again after kill -9: ending here loses nothing.
        _log.warning("store_stopped_before_its_calls")
        os._exit(0)


def _fail(exit_code: int, reason: str) -> int:
    sys.stderr.write(f"auditbus store: {reason}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
