"""The HTTP routes: check, read, run on a worker thread, answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from auditbus.deploy.local.store import protocol
from auditbus.deploy.local.store.access import Access
from auditbus.deploy.local.store.body import LARGEST_BODY_BYTES, decompress
from auditbus.deploy.local.store.engine import Engine
from auditbus.deploy.local.store.errors import BadRequest, Busy, ErrorCode, StoreError
from auditbus.deploy.local.store.execution import Answer, Blocks, execute
from auditbus.deploy.local.store.protocol import Call
from auditbus.runtime.logging import get_logger

__all__ = ["Server"]

_log = get_logger(__name__)

_SIMULTANEOUS_CALLS = 16
_WAIT_FOR_TURN_S = 30.0
# A client that takes nothing for this long is stuck, and others want its turn.
_STALLED_CLIENT_S = 300.0

_T = TypeVar("_T")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """ClickHouse's HTTP interface in front of an engine; lives on one event loop."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._access = access
        self._threads = ThreadPoolExecutor(_SIMULTANEOUS_CALLS, thread_name_prefix="store")
        self._turns = asyncio.Semaphore(_SIMULTANEOUS_CALLS)

    def runner(self, *, shutdown_timeout_s: float) -> web.AppRunner:
        """Return what serves `/` (statements) and `/ping` (no password, as on a server)."""
        application = web.Application(client_max_size=LARGEST_BODY_BYTES, middlewares=[self._check])
        application.router.add_get("/ping", _ping)
        application.router.add_get("/", self._serve)
        application.router.add_post("/", self._serve)
        # No access log: URLs may hold passwords. aiohttp would unpack bodies without a bound.
        return web.AppRunner(
            application, access_log=None, auto_decompress=False, shutdown_timeout=shutdown_timeout_s
        )

    def finish(self) -> None:
        """Wait for running calls; afterwards the engine may be closed. Blocks.

        What is still queued must run too: it closes results, and chDB hangs, interpreter and all,
        where a result is given up after its engine.
        """
        self._threads.shutdown(wait=True)

    @web.middleware
    async def _check(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse foreign pages on every route, and give every StoreError its answer."""
        try:
            self._access.check_browser(request.headers)
            return await handler(request)
        except StoreError as error:
            return self._failure(request, error)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # noqa: BLE001  the process goes on; the client gets a code it knows
            _log.exception("store_call_failed")
            unknown = StoreError(
                ErrorCode.UNKNOWN_EXCEPTION, "an error of the embedded store: see its log"
            )
            return self._failure(request, unknown)

    def _failure(self, request: web.Request, error: StoreError) -> web.Response:
        return web.Response(
            text=protocol.error_text(error, self._engine.version),
            status=protocol.http_status(error),
            headers={"X-ClickHouse-Exception-Code": str(error.code)} | self._headers(request),
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._access.check_password(request.headers, request.query)
        form, body = await _read(request)
        if not (body or form or request.query.get("query")):
            return await _ping(request)
        async with self._turn():
            call, answer = await self._in_thread(lambda: self._start(request, form, body))
            headers = self._headers(request) | {
                "Content-Type": protocol.content_type(call.output_format)
            }
            if answer.summary is not None:
                headers["X-ClickHouse-Summary"] = protocol.summary_header(answer.summary)
            if answer.start:
                headers["X-ClickHouse-Format"] = call.output_format
            if answer.rest is None:
                return web.Response(body=answer.start, headers=headers)
            return await self._send(request, answer.start, answer.rest, headers)

    def _start(
        self, request: web.Request, form: dict[str, str], body: bytes
    ) -> tuple[Call, Answer]:
        call = Call.read(
            method=request.method,
            query=request.query,
            form=form,
            headers=request.headers,
            body=decompress(body, request.headers.get("Content-Encoding", "")),
        )
        return call, execute(self._engine, call)

    async def _send(
        self, request: web.Request, start: bytes, rest: Blocks, headers: dict[str, str]
    ) -> web.StreamResponse:
        """Send a result block by block, as fast as the client takes it."""
        tag = protocol.new_exception_tag()
        response = web.StreamResponse(headers=headers | {"X-ClickHouse-Exception-Tag": tag})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            block: bytes | None = start
            while block is not None:
                async with asyncio.timeout(_STALLED_CLIENT_S):
                    await response.write(block)
                block = await self._in_thread(rest.next)
        except StoreError as error:
            await response.write(protocol.late_error(error, tag, self._engine.version))
            # No last chunk: who knows no tags must not take this for the whole result.
            if request.transport is not None:
                request.transport.close()
        finally:
            await asyncio.shield(self._in_thread(rest.close))
        return response

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_WAIT_FOR_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy(f"{_SIMULTANEOUS_CALLS} calls are running") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _headers(self, request: web.Request) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": protocol.new_query_id(request.query),
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "auditbus embedded store",
        }


async def _ping(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _read(request: web.Request) -> tuple[dict[str, str], bytes]:
    """Return the fields of a form, or the body of any other request, still packed."""
    try:
        if not request.content_type.startswith("multipart/"):
            return {}, await request.read()
        fields = await request.post()
    except web.HTTPRequestEntityTooLarge:
        largest = f"a body of more than {LARGEST_BODY_BYTES} bytes"
        raise BadRequest(ErrorCode.QUERY_IS_TOO_LARGE, largest) from None
    form = {name: value for name, value in fields.items() if isinstance(value, str)}
    if len(form) < len(fields):
        raise BadRequest(
            ErrorCode.NOT_IMPLEMENTED, "external data is not supported by the embedded store"
        )
    return form, b""
