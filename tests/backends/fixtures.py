"""The fixtures `kafka` and `clickhouse`, shared or fresh; tests/conftest.py imports them.

`kafka` and `clickhouse` run once for the whole session: tests use names of their own
(`unique_prefix`). The fresh ones belong to one test, which may stop, kill and start them at the
same address.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends.parts import ClickHouse, Kafka
from tests.backends.selection import Backend, select_backend

__all__ = [
    "backend",
    "clickhouse",
    "fresh_clickhouse",
    "fresh_kafka",
    "kafka",
    "module_clickhouse",
    "unique_prefix",
]


@pytest.fixture(scope="session")
def backend() -> Backend:
    """Which backend this run uses."""
    return select_backend()


@pytest.fixture(scope="session")
def kafka(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that every test of the session shares."""
    with _running_kafka(backend, tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def fresh_kafka(backend: Backend, tmp_path: Path) -> Iterator[Kafka]:
    """An empty broker of the test's own."""
    with _running_kafka(backend, tmp_path / "käfka, of its own") as broker:
        yield broker


@pytest.fixture(scope="session")
def clickhouse(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A store that every test of the session shares."""
    with _running_clickhouse(backend, tmp_path_factory.mktemp("clickhouse")) as store:
        yield store


@pytest.fixture(scope="module")
def module_clickhouse(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClickHouse]:
    """An empty store that the tests of one file share, for questions about all accounts."""
    with _running_clickhouse(backend, tmp_path_factory.mktemp("clickhouse")) as store:
        yield store


@pytest.fixture
def fresh_clickhouse(backend: Backend, tmp_path: Path) -> Iterator[ClickHouse]:
    """An empty store of the test's own."""
    with _running_clickhouse(backend, tmp_path / "störe, of its own") as store:
        yield store


@pytest.fixture
def unique_prefix() -> str:
    """A prefix for topics, groups or databases that no other test uses."""
    return f"t{secrets.token_hex(4)}."


@contextmanager
def _running_kafka(backend: Backend, directory: Path) -> Iterator[Kafka]:
    if backend is Backend.CONTAINERS:
        from tests.backends.containers import ContainerKafka

        container = ContainerKafka()
        try:
            container.start()
            yield container
        finally:
            container.remove()
    else:
        from tests.backends.local import LocalKafka

        broker = LocalKafka(directory)
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()  # nothing of it is needed any more
            shutil.rmtree(directory)


@contextmanager
def _running_clickhouse(backend: Backend, directory: Path) -> Iterator[ClickHouse]:
    if backend is Backend.CONTAINERS:
        from tests.backends.containers import ContainerClickHouse

        container = ContainerClickHouse()
        try:
            container.start()
            yield container
        finally:
            container.remove()
    else:
        from tests.backends.local import LocalClickHouse

        store = LocalClickHouse(directory)
        try:
            store.start()
            yield store
        finally:
            store.kill()
            shutil.rmtree(directory)
