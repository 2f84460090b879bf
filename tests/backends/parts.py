"""What a test sees of a broker and a store, whichever backend runs them."""

from typing import Protocol


class Restartable(Protocol):
    """A part that a test may take down and bring back at the same address, with its data."""

    def start(self) -> None:
        """Start it, and block until it answers."""

    def stop(self) -> None:
        """Stop it in good order; it has ended on return."""

    def kill(self) -> None:
        """SIGKILL; it has ended on return."""


class Kafka(Restartable, Protocol):
    @property
    def bootstrap_servers(self) -> str: ...


class ClickHouse(Restartable, Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def url(self) -> str: ...
