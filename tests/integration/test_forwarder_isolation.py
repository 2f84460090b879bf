"""Twenty destinations in one process, three of them bad: the others do not notice (fault 20)."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_nothing_lost,
    committed,
    forwarder_process,
    forwarder_settings,
    publish,
    webhook,
    with_destinations,
)
from tests.pipeline import wait_until
from tests.webhook_receiver import Receiver, Reply, receiving

_GOOD, _ROUND = 17, 400


@contextmanager
def _black_hole() -> Iterator[str]:
    """Accept every connection, never read, never answer."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for connection in held:
            connection.close()


def test_three_bad_destinations_of_twenty_cost_the_others_neither_speed_nor_memory(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    finished = threading.Event()
    with ExitStack() as stack:
        stack.callback(finished.set)
        good = {f"good-{n}": stack.enter_context(receiving()) for n in range(_GOOD)}
        slow, refusing = stack.enter_context(receiving()), stack.enter_context(receiving())
        slow.behaviour = lambda _: Reply(before=lambda: finished.wait(30))
        refusing.behaviour = lambda _: Reply(400 if len(refusing.requests) % 2 else 403)
        tables = {name: webhook(receiver) for name, receiver in good.items()}
        bad = {
            "hole": webhook(stack.enter_context(_black_hole()), timeout_s=5.0),
            "slow": webhook(slow, timeout_s=60.0),
            "refusing": webhook(refusing),
        }
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, **tables)
        receivers = list(good.values())

        ids, alone_s, _ = _rounds(settings, receivers, [], tmp_path / "alone", rounds=2)
        twenty = with_destinations(settings, **tables, **bad)
        ids, beside_s, rss = _rounds(twenty, receivers, ids, tmp_path / "beside", rounds=5)

        for receiver in receivers:
            check_nothing_lost(ids, receiver.delivered)
        assert refusing.requests
        assert slow.requests
        for name in bad:
            assert sum(committed(twenty, name).values()) <= _ROUND, f"{name} took nothing"
        assert min(beside_s[1:]) < 3 * min(alone_s) + 1.0, (alone_s, beside_s)
        assert rss[-1] - rss[1] < 24 * 1024 * 1024, [size // 2**20 for size in rss]


def _rounds(
    settings: Settings,
    receivers: Sequence[Receiver],
    ids: list[str],
    directory: Path,
    *,
    rounds: int,
) -> tuple[list[str], list[float], list[int]]:
    """Publish so often and wait for all; return the seconds each took and the memory after it."""
    directory.mkdir()
    forwarder = forwarder_process(settings, directory)
    topic = settings.kafka.topics.enriched
    took_s, rss = [], []
    forwarder.start()
    try:
        ids = ids + publish(settings, topic, 50, first=len(ids))
        _wait_for_all(receivers, ids)
        for _ in range(rounds):
            started = time.monotonic()
            ids = ids + publish(settings, topic, _ROUND, first=len(ids))
            _wait_for_all(receivers, ids)
            took_s.append(time.monotonic() - started)
            rss.append(_rss_bytes(forwarder.pid))
    finally:
        forwarder.stop(10)
    return ids, took_s, rss


def _wait_for_all(receivers: Sequence[Receiver], ids: list[str]) -> None:
    wait_until(
        lambda: all(len(receiver.delivered) >= len(ids) for receiver in receivers),
        deadline_s=60,
        what=f"{len(ids)} events at each",
    )


def _rss_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096
