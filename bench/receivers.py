"""Fast receivers for bench/forwarder.py: `python -m bench.receivers splunk` prints its port.

They answer as the vendor would and count events by lines, without reading them: the benchmark is of
the forwarder. GET / answers how many events were acknowledged, and when (monotonic seconds, which
all processes of a machine share) the first and the last.
"""

import argparse
import asyncio
import time
from collections.abc import Callable

import orjson
from aiohttp import web

__all__ = ["KINDS"]

_CREATED = b'{"create":{"status":201}},'


class Count:
    """Events acknowledged so far."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.first_s = self.last_s = 0.0

    def add(self, events: int) -> None:
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        self.events += events


async def _body(request: web.Request, count: Count) -> bytes:
    count.bytes += request.content_length or 0
    return await request.read()  # which unpacks it


def _splunk(count: Count) -> list[web.RouteDef]:
    """With acknowledgement: indexed at once, and said so when asked."""
    waiting: dict[int, int] = {}

    async def take(request: web.Request) -> web.Response:
        body = await _body(request, count)
        ack_id = len(seen)
        seen.append(ack_id)
        waiting[ack_id] = body.count(b"\n")
        return web.Response(body=b'{"text":"Success","code":0,"ackId":%d}' % ack_id)

    async def poll(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())["acks"]
        for ack_id in asked:
            count.add(waiting.pop(ack_id, 0))
        return web.Response(body=orjson.dumps({"acks": {str(a): True for a in asked}}))

    seen: list[int] = []
    return [web.post("/services/collector/event", take), web.post("/services/collector/ack", poll)]


def _elasticsearch(count: Count) -> list[web.RouteDef]:
    async def take(request: web.Request) -> web.Response:
        events = (await _body(request, count)).count(b"\n") // 2
        count.add(events)
        items = (_CREATED * events)[:-1]
        return web.Response(body=b'{"errors":false,"items":[' + items + b"]}")

    return [web.post("/{stream}/_bulk", take)]


KINDS: dict[str, Callable[[Count], list[web.RouteDef]]] = {
    "splunk": _splunk,
    "elasticsearch": _elasticsearch,
}


async def _serve(kind: str) -> None:
    count = Count()

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(vars(count)))

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes([*KINDS[kind](count), web.get("/", tell)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    asyncio.run(_serve(parser.parse_args().kind))
