"""The middleware in real FastAPI, Starlette, Litestar, Flask and Django applications."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper

import flask
import httpx2 as httpx
import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI, WebSocket
from litestar import Litestar, get, websocket
from litestar.connection import Request as LitestarRequest
from litestar.connection import WebSocket as LitestarWebSocket
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from websockets.sync.client import connect

from auditbus.producers import bind, current, recorded
from auditbus.producers.asgi import AuditMiddleware as AsgiMiddleware
from auditbus.producers.testing import RecordingProducer
from auditbus.producers.wsgi import AuditMiddleware as WsgiMiddleware
from auditbus.schemas import is_uuid7
from tests.django_site import configure_django

TRUSTED = {"trusted_proxies": ["10.0.0.0/8"]}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {  # in lower case, and handed out in copies: Starlette's client adds its own to it
    "user-agent": "kubectl/v1.31.0",
    "x-request-id": "r-1",
    "x-forwarded-for": "6.6.6.6, 203.0.113.9",
    "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    "Sec-CH-UA-Platform": '"Linux"',
}
CONTEXT = {
    "ip": "203.0.113.9",
    "forwarded_for": ["6.6.6.6", "203.0.113.9"],
    "user_agent": "kubectl/v1.31.0",
    "client_hints": {"sec-ch-ua-platform": '"Linux"'},
    "request_id": "r-1",
    "trace_id": TRACE,
}
ANN = {"type": "user", "id": "ann"}
EVENT = {"actor": ANN, "account": {"id": "acme"}, "context": CONTEXT}
HOSTILE = {
    "user-agent": "x" * 20_000,
    "X-Request-ID": "'; DROP TABLE" + "x" * 5_000,
    "X-Forwarded-For": "," * 20_000 + '"<script>"' * 100,
    "Forwarded": 'for="' * 4_000,
    "traceparent": "00-" + "z" * 10_000,
    "Sec-CH-UA": '"' * 10_000,
}


def sign_in() -> None:
    """What a service's own authentication does, in whatever thread it runs."""
    bind(actor=ANN, account={"id": "acme"})


def assert_hostile(event: dict[str, Any]) -> None:
    context = event["context"]
    assert is_uuid7(context["request_id"])
    assert len(context["user_agent"]) == 2048
    assert len(context["forwarded_for"]) <= 16
    assert "trace_id" not in context


@pytest.fixture(autouse=True)
def _nothing_stays_bound() -> Iterator[None]:
    yield
    assert current() == {}


def test_fastapi(audit_events: RecordingProducer) -> None:
    lifespan: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan_of(_: FastAPI) -> AsyncIterator[None]:
        lifespan.append("up")
        yield
        lifespan.append("down")

    app = FastAPI(lifespan=lifespan_of)
    app.add_middleware(AsgiMiddleware, **TRUSTED)

    @app.get("/sync")  # dependency and endpoint run in two threads of the pool
    def sync(_: Annotated[None, Depends(sign_in)]) -> str:
        audit_events.emit(action="Login")
        return "ok"

    @app.get("/async")
    async def asynchronous(_: Annotated[None, Depends(sign_in)]) -> str:
        audit_events.emit(action="Login")
        return "ok"

    @app.get("/recorded")
    @recorded(audit_events, "StorageDeleted", targets=lambda call: [{"id": call["storage"]}])
    async def delete(storage: str) -> str:
        sign_in()
        return storage

    @app.get("/anonymous")
    def anonymous() -> dict[str, Any]:
        return current()

    @app.websocket("/ws")
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        sign_in()
        async for text in ws.iter_text():
            audit_events.emit(action="Login")
            await ws.send_text(text.upper())

    with TestClient(app, client=("10.0.0.1", 5), headers={**HEADERS}) as client:
        for name in ("/sync", "/async", "/recorded?storage=s-1"):
            assert client.get(name).status_code == 200
        assert client.get("/recorded?storage=s-1").json() == "s-1"
        assert client.get("/anonymous").json() == {"context": CONTEXT}  # no Ann left over
        with client.websocket_connect("/ws") as ws:
            ws.send_text("hello")
            assert ws.receive_text() == "HELLO"
        for event in audit_events.events:
            assert {name: event[name] for name in EVENT} == EVENT
        assert len(audit_events.events) == 5
        audit_events.assert_recorded(action="StorageDeleted", targets=[{"id": "s-1"}], count=2)
        client.get("/sync", headers=HOSTILE)
        assert_hostile(audit_events.events[-1])
    assert lifespan == ["up", "down"]


def test_starlette_whatever_the_order_of_the_middleware(audit_events: RecordingProducer) -> None:
    class Authentication(BaseHTTPMiddleware):  # runs the rest in another task
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            sign_in()
            response = await call_next(request)
            audit_events.emit(
                action="Logout", metadata={"seen": current()["context"].get("session_id")}
            )
            return response

    def endpoint(request: Request) -> Response:
        bind(context={"session_id": "s"})
        audit_events.emit(action="Login")
        return PlainTextResponse("ok", background=BackgroundTask(later))

    async def later() -> None:
        audit_events.emit(action="BackupTriggered")

    async def body() -> AsyncIterator[bytes]:
        audit_events.emit(action="BackupDownloaded")
        yield b"x"

    async def stream(request: Request) -> Response:
        return StreamingResponse(body())

    app = Starlette(
        routes=[Route("/", endpoint), Route("/stream", stream)],
        middleware=[Middleware(AsgiMiddleware, **TRUSTED), Middleware(Authentication)],
    )
    with TestClient(app, client=("10.0.0.1", 5), headers={**HEADERS}) as client:
        assert client.get("/").text == "ok"
        client.get("/stream").read()
    actions = [event["action"] for event in audit_events.events]
    assert sorted(actions[:3]) == ["BackupTriggered", "Login", "Logout"]
    assert actions[3] == "BackupDownloaded" or "BackupDownloaded" in actions
    for event in audit_events.events:
        assert event["actor"] == ANN
        assert event["context"].items() >= CONTEXT.items()
    audit_events.assert_recorded(action="Logout", metadata={"seen": "s"})


@pytest.mark.parametrize("wrapped", [False, True])
def test_litestar(audit_events: RecordingProducer, wrapped: bool) -> None:
    @get("/sync", sync_to_thread=True)
    def sync(request: LitestarRequest[Any, Any, Any]) -> str:
        sign_in()
        audit_events.emit(action="Login")
        return "ok"

    @get("/async")
    async def asynchronous() -> str:
        sign_in()
        audit_events.emit(action="Login")
        return "ok"

    @websocket("/ws")
    async def chat(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        sign_in()
        audit_events.emit(action="Login")
        await socket.send_text((await socket.receive_text()).upper())
        await socket.close()

    handlers = [sync, asynchronous, chat]
    if wrapped:
        app: Any = AsgiMiddleware(Litestar(handlers), trusted_proxies=["unix"])
    else:
        app = Litestar(handlers, middleware=[DefineMiddleware(AsgiMiddleware, **TRUSTED)])
    headers = {**HEADERS, "x-forwarded-for": ""} if wrapped else {**HEADERS}
    with LitestarClient(app) as client:
        client.headers.update(headers)
        assert client.get("/sync").text == "ok"
        assert client.get("/async").text == "ok"
        with client.websocket_connect("/ws") as ws:
            ws.send_text("hello")
            assert ws.receive_text() == "HELLO"
    assert len(audit_events.events) == 3
    for event in audit_events.events:
        assert event["actor"] == ANN
        assert event["context"]["request_id"] == "r-1"
        assert event["context"]["trace_id"] == TRACE


def test_flask(audit_events: RecordingProducer) -> None:
    app = flask.Flask("tests", root_path="/")
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, **TRUSTED)  # type: ignore[method-assign]
    app.before_request(sign_in)

    @app.get("/")
    def index() -> str:
        audit_events.emit(action="Login")
        return "ok"

    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> Iterator[str]:
            yield "a"
            audit_events.emit(action="BackupDownloaded")
            yield "b"

        return flask.Response(body())

    @app.get("/async")
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        audit_events.emit(action="Login")
        return "ok"

    @app.get("/fails")
    def fails() -> str:
        raise RuntimeError("the service's own")

    client = app.test_client()
    for url, text in (("/", "ok"), ("/stream", "ab"), ("/async", "ok")):
        answer = client.get(url, headers={**HEADERS}, environ_base={"REMOTE_ADDR": "10.0.0.1"})
        assert answer.get_data(as_text=True) == text
    for event in audit_events.events:
        assert {name: event[name] for name in EVENT} == EVENT
    assert len(audit_events.events) == 3
    assert client.get("/fails").status_code == 500
    client.get("/", headers=HOSTILE)
    assert_hostile(audit_events.events[-1])


@pytest.fixture(scope="module")
def django_app() -> Iterator[Callable[[RecordingProducer], tuple[Any, Any]]]:
    producers: list[RecordingProducer] = []

    def index(request: Any) -> HttpResponse:
        sign_in()
        producers[-1].emit(action="Login")
        return HttpResponse("ok")

    async def asynchronous(request: Any) -> HttpResponse:
        sign_in()
        producers[-1].emit(action="Login")
        return HttpResponse("ok")

    def stream(request: Any) -> StreamingHttpResponse:
        def body() -> Iterator[str]:
            producers[-1].emit(action="BackupDownloaded")
            yield "ok"

        sign_in()
        return StreamingHttpResponse(body())

    def file(request: Any) -> FileResponse:
        return FileResponse(io.BytesIO(b"ok"))

    urls = [path("", index), path("async", asynchronous), path("stream", stream)]
    site = type("Site", (), {"urlpatterns": [*urls, path("file", file)]})

    def apps(producer: RecordingProducer) -> tuple[Any, Any]:
        producers.append(producer)
        return get_wsgi_application(), get_asgi_application()

    configure_django()
    with override_settings(ROOT_URLCONF=site):
        yield apps


def test_django_on_wsgi(django_app: Any, audit_events: RecordingProducer) -> None:
    application = WsgiMiddleware(django_app(audit_events)[0], **TRUSTED)
    transport = httpx.WSGITransport(app=application, remote_addr="10.0.0.1")
    with httpx.Client(transport=transport, base_url="http://tests", headers={**HEADERS}) as client:
        for url in ("/", "/async", "/stream", "/file"):
            assert client.get(url).text == "ok"
        client.get("/", headers=HOSTILE)
    assert_hostile(audit_events.events.pop())
    assert len(audit_events.events) == 4
    for event in audit_events.events[:3]:
        assert {name: event[name] for name in EVENT} == EVENT


def test_django_on_asgi(django_app: Any, audit_events: RecordingProducer) -> None:
    application = AsgiMiddleware(django_app(audit_events)[1], **TRUSTED)

    async def main() -> None:
        transport = httpx.ASGITransport(app=application, client=("10.0.0.1", 5))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://tests", headers={**HEADERS}
        ) as client:
            for url in ("/", "/async"):
                assert (await client.get(url)).text == "ok"

    asyncio.run(main())
    assert len(audit_events.events) == 2
    for event in audit_events.events:
        assert {name: event[name] for name in EVENT} == EVENT


def test_the_servers_own_file_wrapper_and_lists_pass_untouched(django_app: Any) -> None:
    given = [b"ok"]
    environ = {"wsgi.file_wrapper": FileWrapper}
    body = FileWrapper(io.BytesIO(b"ok"))
    assert WsgiMiddleware(lambda *_: given)(environ, print) is given  # type: ignore[arg-type]
    assert WsgiMiddleware(lambda *_: body)(environ, print) is body  # type: ignore[arg-type]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_real_wsgi_server_closes_the_body(audit_events: RecordingProducer) -> None:
    closed: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        sign_in()
        try:
            yield b"o"
            audit_events.emit(action="Login")
            yield b"k"
        finally:
            closed.append(current()["actor"]["id"])

    with make_server("127.0.0.1", 0, WsgiMiddleware(app), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = httpx.get(f"http://127.0.0.1:{server.server_port}/", headers={**HEADERS})
        thread.join(10)
    assert answer.text == "ok"
    assert closed == ["ann"]
    (event,) = audit_events.events
    assert event["context"]["ip"] == "127.0.0.1"  # nobody is trusted by default
    assert event["context"]["forwarded_for"] == ["6.6.6.6", "203.0.113.9"]


def test_a_real_asgi_server_with_websockets_and_lifespan(audit_events: RecordingProducer) -> None:
    app = FastAPI()
    app.add_middleware(AsgiMiddleware, trusted_proxies=["127.0.0.0/8"])

    @app.get("/")
    def index() -> str:
        sign_in()
        audit_events.emit(action="Login")
        return "ok"

    @app.websocket("/ws")
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        audit_events.emit(action="Login")
        await ws.send_text((await ws.receive_text()).upper())

    with _served(app) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/", headers={**HEADERS}).json() == "ok"
        with connect(f"ws://127.0.0.1:{port}/ws", additional_headers={**HEADERS}) as ws:
            ws.send("hello")
            assert ws.recv(timeout=10) == "HELLO"
    assert [event["context"]["ip"] for event in audit_events.events] == ["203.0.113.9"] * 2
    assert audit_events.events[0]["context"] == CONTEXT
    assert "actor" not in audit_events.events[1]


@contextlib.contextmanager
def _served(app: Any) -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="warning", proxy_headers=False, ws="websockets-sansio"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = time.monotonic() + 20
            while not server.started:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
