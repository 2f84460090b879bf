"""A receiver for benchmarks, in a process of its own: counts events by path, costs little.

`python -m bench.counting_receiver PORT HOLE_PORT`. POST /NAME is taken, /slow after 30 s, and
/refuse is answered 400. GET / returns the counts as JSON. On HOLE_PORT nothing is ever answered.
"""

import asyncio
import json
import sys
from collections import Counter

_MARK = b'"schema_version":1'
_counts: Counter[str] = Counter()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            length = 0
            for line in head.split("\r\n"):
                name, _, value = line.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            body = await reader.readexactly(length)
            answer, status = b"{}", "200 OK"
            if method == "GET":
                answer = json.dumps(_counts).encode()
            elif path == "/refuse":
                status = "400 Bad Request"
            elif path == "/slow":
                await asyncio.sleep(30)
            if method == "POST":
                _counts[path[1:]] += body.count(_MARK)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n\r\n".encode())
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _swallow(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _main(port: int, hole_port: int) -> None:
    await asyncio.start_server(_serve, "127.0.0.1", port, limit=2**24)
    await asyncio.start_server(_swallow, "127.0.0.1", hole_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
